using K2Cluster.Cuda.Device;
using K2Cluster.GpuCheck.Reports;
using K2Cluster.Kernels.Numerics;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.GpuCheck.Verification;

/// <summary>A layer of made-up experts on the card, whose kernels run one at a time and are compared one at a time.</summary>
internal sealed class VerifiedLayer : IDisposable
{
    /// <summary>What is in memory that no kernel may write, and in memory that one has to.</summary>
    private const byte Pattern = 0xA5;

    /// <summary>Numbers behind a buffer that must stay as they are.</summary>
    private const int Guard = 1024;

    private static readonly LaunchPlan ShufflePlan = new(0, 256, 0, 0);

    private readonly Gpu _gpu;
    private readonly KernelSet _kernels;
    private readonly ExpertSizes _sizes;
    private readonly string _name;
    private readonly int _tableSize;
    private readonly DisposableStack _owned = new();
    private readonly SortedDictionary<int, HostExpert> _experts = [];
    private readonly Dictionary<int, CUdeviceptr> _slots = [];
    private readonly ushort[] _hiddenRows;
    private readonly CudaDeviceVariable<byte> _slab;
    private readonly CudaDeviceVariable<int> _slotOf;
    private readonly CudaDeviceVariable<ulong> _addresses;
    private readonly CudaDeviceVariable<ushort> _hidden;
    private readonly Dictionary<string, int> _launches = [];

    /// <param name="gpu">The card.</param>
    /// <param name="kernels">Of one target.</param>
    /// <param name="sizes">Of an expert.</param>
    /// <param name="kind">Of weights.</param>
    /// <param name="held">Experts that have a slot; a table of the layer has one more than the largest of them, and one less than the least.</param>
    /// <param name="rows">The most that a call has.</param>
    /// <param name="sample">Elements of a row compared with FP64 at least.</param>
    public VerifiedLayer(Gpu gpu, KernelSet kernels, ExpertSizes sizes, WeightKind kind, IReadOnlyList<int> held, int rows, int sample)
    {
        (_gpu, _kernels, _sizes, _name) = (gpu, kernels, sizes, $"{sizes}, {Words(kind)}");
        _tableSize = TableSize(held);
        HostExpert[] made = new HostExpert[held.Count];
        Parallel.For(0, made.Length, i => made[i] = new HostExpert(sizes, kind, seed: 100 + held[i]));
        Random random = new(7);
        _hiddenRows = new ushort[rows * sizes.Hidden];
        double unit = Math.ScaleB(1, HostExpert.InputExponent(kind));
        foreach (ref ushort x in _hiddenRows.AsSpan())
            x = Bf16.FromSingle((float)(unit * ((2 * random.NextDouble()) - 1)));
        double[][] inputs = new double[rows][];
        for (int row = 0; row < rows; row++)
            inputs[row] = Array.ConvertAll(_hiddenRows[(row * sizes.Hidden)..((row + 1) * sizes.Hidden)], number => (double)Bf16.ToSingle(number));
        Known = new KnownRows(sizes, _experts, inputs) { Sample = sample };
        try
        {
            _slab = _owned.Add(new CudaDeviceVariable<byte>(held.Count * sizes.SlotBytes));
            _slotOf = _owned.Add(new CudaDeviceVariable<int>(2 * _tableSize));
            _addresses = _owned.Add(new CudaDeviceVariable<ulong>(held.Count));
            _hidden = _owned.Add(new CudaDeviceVariable<ushort>(_hiddenRows.Length));
            _hidden.CopyToDevice(_hiddenRows);
            int[] table = new int[2 * _tableSize];
            Array.Fill(table, -1);
            for (int i = 0; i < made.Length; i++)
            {
                // Backwards, so that no expert's slot has its own number.
                int slot = made.Length - 1 - i;
                _experts[held[i]] = made[i];
                _slots[held[i]] = _slab.DevicePointer + (slot * sizes.SlotBytes);
                table[_tableSize + held[i]] = slot; // the second layer's
            }

            _slotOf.CopyToDevice(table);
            _addresses.CopyToDevice([.. Enumerable.Range(0, made.Length).Select(slot => (ulong)(_slab.DevicePointer + (slot * sizes.SlotBytes)).Pointer)]);
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    /// <summary>Experts of a layer of the table: one more than the largest that has a slot.</summary>
    public static int TableSize(IReadOnlyList<int> held) => held.Max() + 2;

    /// <summary>What its rows were.</summary>
    public KnownRows Known { get; }

    /// <summary>How often each kernel was launched and compared.</summary>
    public IReadOnlyDictionary<string, int> Launches => _launches;

    /// <summary>Brings every expert into its slot by the card, and compares the bytes.</summary>
    public Disagreement? Shuffle()
    {
        string kernel = $"k2_shuffle_{_sizes.Format}";
        _slab.Memset(Pattern);
        foreach ((int expert, HostExpert host) in _experts)
        {
            ExpertLoader.Shuffle(_sizes, host, _slots[expert], values => Run(kernel, ShufflePlan, 2 * _gpu.Multiprocessors, values));
            byte[] actual = new byte[_sizes.SlotBytes];
            Copy(_slab, actual, (long)(ulong)_slots[expert].Pointer - (long)(ulong)_slab.DevicePointer.Pointer);
            byte[] expected = host.Slot();
            int at = actual.AsSpan().CommonPrefixLength(expected);
            if (at < expected.Length)
                return Found(kernel, "slot", $"byte {at} of expert {expert}'s slot is 0x{actual[at]:x2}, not 0x{expected[at]:x2}");
            if (actual.AsSpan(expected.Length).ContainsAnyExcept(Pattern))
                return Found(kernel, "slot", $"it wrote behind the end of expert {expert}'s slot");
        }

        return null;
    }

    /// <summary>A call by one variant; null when all is well, and also where the card has no room for the variant.</summary>
    public Disagreement? Run(Load load, Variant variant)
    {
        if (variant.Plan(_gpu, _sizes) is not var (gateUpPlan, downPlan))
            return null;
        int pairs = load.Pairs.Length;
        int grid = variant.IsAlone ? 1 : _gpu.Multiprocessors;
        string where = $"{load.Name}; {variant}";
        using RoutedCall call = new(load, load.Rows, layer: 1, variant.RowsPerBlock, _tableSize);
        using CudaDeviceVariable<ushort> middle = new((pairs * _sizes.Intermediate) + Guard);
        using CudaDeviceVariable<ushort> output = new((pairs * _sizes.Hidden) + Guard);
        middle.Memset(Pattern);
        output.Memset(Pattern);

        LaunchPlan routePlan = LaunchPlan.Route(_tableSize, _gpu.SharedBytes, _gpu.MostThreads);
        Run("k2_route", routePlan, 1, call.RouteValues(_slotOf.DevicePointer, _addresses.DevicePointer));
        int[] places = RouteOracle.Places(load, _tableSize, _slots.ContainsKey, out int[] order);
        string? wrong = call.Check(load, order, variant.RowsPerBlock, expert => _slots.TryGetValue(expert, out CUdeviceptr slot) ? slot : null);
        if (wrong is not null)
            return Found("k2_route", where, wrong);

        string gateUp = $"k2_gate_up_{_sizes.Format}_{variant.Size}";
        string down = $"k2_down_{_sizes.Format}_{variant.Size}";
        Run(gateUp, gateUpPlan, grid, call.GateUpValues(_hidden.DevicePointer, middle.DevicePointer, _sizes, gateUpPlan));
        Run(down, downPlan, grid, call.DownValues(middle.DevicePointer, output.DevicePointer, _sizes, downPlan));
        ushort[] middleRows = Read(middle, pairs * _sizes.Intermediate);
        ushort[] outputRows = Read(output, pairs * _sizes.Hidden);
        if (Known.Check(load, places, middleRows, outputRows) is var (isDown, what))
            return Found(isDown ? down : gateUp, where, what);
        if (IsTouched(middleRows, order.Length * _sizes.Intermediate))
            return Found(gateUp, where, "it wrote rows that are not its own, or behind its buffer");
        for (int pair = 0; pair < pairs; pair++)
        {
            if (places[pair] < 0 && outputRows.AsSpan(pair * _sizes.Hidden, _sizes.Hidden).ContainsAnyExcept((ushort)(Pattern * 0x101)))
                return Found(down, where, $"it wrote the row of pair {pair}, whose expert has no slot");
        }

        return IsTouched(outputRows, pairs * _sizes.Hidden) ? Found(down, where, "it wrote behind its buffer") : null;
    }

    public void Dispose() => _owned.Dispose();

    private void Run(string kernel, LaunchPlan plan, int grid, params object[] values)
    {
        _launches[kernel] = _launches.GetValueOrDefault(kernel) + 1;
        _kernels.Run(kernel, plan, grid, values);
    }

    private Disagreement Found(string kernel, string where, string what) => new(_kernels.Target, kernel, $"{_name}; {where}", what);

    /// <summary>A buffer with its guard.</summary>
    private static ushort[] Read(CudaDeviceVariable<ushort> buffer, int count)
    {
        ushort[] numbers = new ushort[count + Guard];
        buffer.CopyToHost(numbers);
        return numbers;
    }

    private static bool IsTouched(ushort[] buffer, int from) => buffer.AsSpan(from).ContainsAnyExcept((ushort)(Pattern * 0x101));

    private static unsafe void Copy(CudaDeviceVariable<byte> from, byte[] to, long offset)
    {
        fixed (byte* target = to)
            from.CopyToHost((nint)target, offset, 0, to.Length);
    }

    private static string Words(WeightKind kind) => kind switch
    {
        WeightKind.AllLeast => "all weights the least",
        WeightKind.Largest => "largest scales",
        WeightKind.Smallest => "smallest scales",
        _ => "random weights",
    };
}
