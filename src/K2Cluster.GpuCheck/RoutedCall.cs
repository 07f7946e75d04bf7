using K2Cluster.Cuda.Device;
using K2Cluster.GpuCheck.Verification;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.GpuCheck;

/// <summary>A call's pairs on the card and what the route makes of them, by kernels/README.md.</summary>
internal sealed class RoutedCall : IDisposable
{
    private readonly int _experts;
    private readonly DisposableStack _owned = new();
    private readonly CudaDeviceVariable<int> _header;
    private readonly CudaDeviceVariable<int> _pairRow;
    private readonly CudaDeviceVariable<int> _pairExpert;
    private readonly CudaDeviceVariable<int> _order;
    private readonly CudaDeviceVariable<int> _rowOf;
    private readonly CudaDeviceVariable<RouteOracle.Block> _blocks;
    private readonly CudaDeviceVariable<int> _counts;
    private readonly CudaDeviceVariable<byte> _status;

    /// <param name="load">Its pairs.</param>
    /// <param name="rows">Of hidden state.</param>
    /// <param name="layer">Of the table of slots.</param>
    /// <param name="rowsPerBlock">What to cut to.</param>
    /// <param name="experts">Of a layer of the table.</param>
    public RoutedCall(Load load, int rows, int layer, int rowsPerBlock, int experts)
    {
        _experts = experts;
        int pairs = load.Pairs.Length;
        try
        {
            _header = _owned.Add(new CudaDeviceVariable<int>(ForwardHeader.Bytes / sizeof(int)));
            int[] header = new int[ForwardHeader.Bytes / sizeof(int)];
            (header[0], header[1], header[2], header[3]) = (pairs, rows, layer, rowsPerBlock);
            _header.CopyToDevice(header);
            _pairRow = _owned.Add(new CudaDeviceVariable<int>(pairs));
            _pairRow.CopyToDevice([.. load.Pairs.Select(pair => pair.Row)]);
            _pairExpert = _owned.Add(new CudaDeviceVariable<int>(pairs));
            _pairExpert.CopyToDevice([.. load.Pairs.Select(pair => pair.Expert)]);
            _order = _owned.Add(new CudaDeviceVariable<int>(pairs));
            _rowOf = _owned.Add(new CudaDeviceVariable<int>(pairs));
            _blocks = _owned.Add(new CudaDeviceVariable<RouteOracle.Block>(Math.Min(pairs, (pairs / rowsPerBlock) + experts)));
            _counts = _owned.Add(new CudaDeviceVariable<int>(4));
            _status = _owned.Add(new CudaDeviceVariable<byte>(pairs));
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    public object[] RouteValues(CUdeviceptr slotOf, CUdeviceptr addresses) =>
    [
        _header.DevicePointer, _pairRow.DevicePointer, _pairExpert.DevicePointer, slotOf, addresses, (uint)_experts,
        _order.DevicePointer, _rowOf.DevicePointer, _blocks.DevicePointer, _counts.DevicePointer, _status.DevicePointer,
    ];

    public object[] GateUpValues(CUdeviceptr hidden, CUdeviceptr middle, ExpertSizes sizes, LaunchPlan plan) =>
    [
        _counts.DevicePointer, _blocks.DevicePointer, _rowOf.DevicePointer, hidden, middle,
        (uint)sizes.Hidden, (uint)sizes.Intermediate, (uint)plan.RowsPerBlock, (uint)plan.Stages,
    ];

    public object[] DownValues(CUdeviceptr middle, CUdeviceptr output, ExpertSizes sizes, LaunchPlan plan) =>
    [
        _counts.DevicePointer, _blocks.DevicePointer, _order.DevicePointer, middle, output,
        (uint)sizes.Hidden, (uint)sizes.Intermediate, (uint)plan.RowsPerBlock, (uint)plan.Stages,
    ];

    /// <summary>Whether the route wrote what it should; reads no more than it had to write.</summary>
    public string? Check(Load load, int[] order, int rowsPerBlock, Func<int, CUdeviceptr?> slotOf)
    {
        int[] counts = new int[4];
        _counts.CopyToHost(counts);
        if (counts[0] < 0 || counts[0] > (int)_blocks.Size || counts[1] < 0 || counts[1] > load.Pairs.Length)
            return $"it counted {counts[0]} blocks and {counts[1]} pairs of {load.Pairs.Length}";
        return RouteOracle.Check(
            load, _experts, order, rowsPerBlock, slotOf, counts,
            Read(_order, counts[1]), Read(_rowOf, counts[1]), Read(_blocks, counts[0]), Read(_status, load.Pairs.Length));
    }

    public void Dispose() => _owned.Dispose();

    private static T[] Read<T>(CudaDeviceVariable<T> from, int count)
        where T : unmanaged
    {
        T[] values = new T[count];
        unsafe
        {
            fixed (T* to = values)
            {
                if (count > 0)
                    from.CopyToHost((nint)to, 0, 0, (long)count * sizeof(T));
            }
        }

        return values;
    }
}
