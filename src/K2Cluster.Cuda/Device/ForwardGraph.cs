using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.Cuda.Device;

/// <summary>
/// Route, gate_up and down as one launch, built once for a device. Sizes that change from call to call lie in the input; where
/// the buffers are others than at the last launch, the nodes are told of them first. Not thread-safe.
/// </summary>
internal sealed unsafe class ForwardGraph : IDisposable
{
    private readonly ExpertKernels _kernels;
    private readonly ExpertKernels.Pass _pass;
    private readonly DisposableStack _owned = new();
    private readonly CudaGraph _graph; // kept, since its nodes name what is changed
    private readonly CUgraphNode[] _nodes = new CUgraphNode[3];
    private readonly CudaGraphExec? _executable;
    private ForwardBuffers? _at;

    /// <param name="kernels">The device's.</param>
    /// <param name="pass">Which of its products.</param>
    /// <param name="at">The buffers of the first launch.</param>
    /// <exception cref="CudaException">The driver refuses it.</exception>
    public ForwardGraph(ExpertKernels kernels, ExpertKernels.Pass pass, ForwardBuffers at)
    {
        (_kernels, _pass) = (kernels, pass);
        try
        {
            _graph = _owned.Add(new CudaGraph());
            Describe(at);
            _executable = _owned.Add(_graph.Instantiate(default));
            _at = at;
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    /// <summary>What the route is to cut to.</summary>
    public int RowsPerBlock => _pass.RowsPerBlock;

    /// <summary>Launches it over the buffers of a call.</summary>
    /// <exception cref="CudaException">The device failed.</exception>
    public void Launch(CudaStream stream, ForwardBuffers at)
    {
        if (_at != at)
        {
            _at = null; // as long as some nodes have these and some have others
            Describe(at);
            _at = at;
        }

        _executable!.Launch(stream);
    }

    public void Dispose() => _owned.Dispose();

    /// <summary>Adds the nodes, or changes those that are there.</summary>
    private void Describe(ForwardBuffers at)
    {
        ExpertShape shape = _kernels.Shape;
        (uint hidden, uint intermediate) = ((uint)shape.Hidden, (uint)shape.Intermediate);
        Put(0, _kernels.Route, at.Header, at.PairRows, at.PairExperts, at.SlotOf, at.SlotAddresses, (uint)shape.Experts, at.Order, at.RowOf, at.Blocks, at.Counts, at.Statuses);
        Put(1, _pass.GateUp, at.Counts, at.Blocks, at.RowOf, at.Hidden, at.Middle, hidden, intermediate, (uint)_pass.GateUpPlan.RowsPerBlock, (uint)_pass.GateUpPlan.Stages);
        Put(2, _pass.Down, at.Counts, at.Blocks, at.Order, at.Middle, at.Outputs, hidden, intermediate, (uint)_pass.DownPlan.RowsPerBlock, (uint)_pass.DownPlan.Stages);
    }

    /// <summary>One launch; the values go to the driver one after another, 8 bytes apart.</summary>
    private void Put(int index, CudaKernel kernel, params ReadOnlySpan<KernelValue> values)
    {
        ulong* raw = stackalloc ulong[values.Length];
        nint* addresses = stackalloc nint[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            raw[i] = values[i].Raw;
            addresses[i] = (nint)(raw + i);
        }

        CudaKernelNodeParams launch = new()
        {
            func = kernel.CUFunction,
            gridDimX = kernel.GridDimensions.x,
            gridDimY = kernel.GridDimensions.y,
            gridDimZ = kernel.GridDimensions.z,
            blockDimX = kernel.BlockDimensions.x,
            blockDimY = kernel.BlockDimensions.y,
            blockDimZ = kernel.BlockDimensions.z,
            sharedMemBytes = kernel.DynamicSharedMemory,
            kernelParams = (nint)addresses,
        };
        if (_executable is null)
            _nodes[index] = _graph.AddKernelNode(index == 0 ? [] : [_nodes[index - 1]], launch);
        else
            _executable.SetParams(_nodes[index], ref launch);
    }

    /// <summary>A kernel's parameter: an address or a number of 32 bits, which a little-endian machine reads from the same place.</summary>
    private readonly record struct KernelValue(ulong Raw)
    {
        public static implicit operator KernelValue(CUdeviceptr address) => new((ulong)address.Pointer);

        public static implicit operator KernelValue(uint number) => new(number);
    }
}
