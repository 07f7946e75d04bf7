using K2Cluster.Kernels.Devices;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.Cuda.Device;

/// <summary>
/// The buffers of a forward call on a GPU: input and output pinned on the host and again on the device, one copy each way.
/// What changes from call to call lies in the input.
/// </summary>
internal sealed unsafe class CudaExpertWork : ExpertWork
{
    /// <summary>
    /// Calls with an expert of more rows take the kernels for many: those for few cut it into blocks of at most so many, each
    /// of which reads its weights (docs/gpu-kernels.md).
    /// </summary>
    public const int MostSmallRows = 8;

    private readonly DisposableStack _owned = new();
    private readonly CudaPageLockedHostMemory<byte> _hostInput;
    private readonly CudaPageLockedHostMemory<byte> _hostOutput;
    private readonly CudaDeviceVariable<byte> _input;
    private readonly CudaDeviceVariable<byte> _output;
    private readonly CudaEvent _start;
    private readonly CudaEvent _end;
    private readonly CudaEvent _done;
    private readonly long _pairRows = ForwardHeader.Bytes;
    private readonly long _pairExperts;
    private readonly long _hidden;
    private readonly long _outputs;
    private readonly int[] _rowsOf; // of each expert, in the call at hand

    /// <param name="device">Who computes it.</param>
    /// <param name="shape">The model's sizes.</param>
    /// <param name="kernels">The kernels.</param>
    /// <param name="slab">Where the experts lie.</param>
    /// <param name="maxRows">At least 1.</param>
    /// <param name="maxPairs">At least 1.</param>
    /// <exception cref="CudaException">There is no memory for it.</exception>
    public CudaExpertWork(CudaExpertDevice device, ExpertShape shape, ExpertKernels kernels, ExpertSlab slab, int maxRows, int maxPairs)
        : base(maxRows, maxPairs, shape.Hidden)
    {
        Device = device;
        _pairExperts = ExpertShape.Align(_pairRows + ((long)maxPairs * sizeof(int)));
        _hidden = ExpertShape.Align(_pairExperts + ((long)maxPairs * sizeof(int)));
        _outputs = ExpertShape.Align(maxPairs);
        _rowsOf = new int[shape.Experts];
        long rowBytes = (long)shape.Hidden * sizeof(ushort);
        try
        {
            _hostInput = _owned.Add(new CudaPageLockedHostMemory<byte>(_hidden + (maxRows * rowBytes)));
            _hostOutput = _owned.Add(new CudaPageLockedHostMemory<byte>(_outputs + (maxPairs * rowBytes)));
            _input = _owned.Add(new CudaDeviceVariable<byte>(_hostInput.SizeInBytes));
            _output = _owned.Add(new CudaDeviceVariable<byte>(_hostOutput.SizeInBytes));
            Buffers = new ForwardBuffers
            {
                Header = _input.DevicePointer,
                PairRows = _input.DevicePointer + _pairRows,
                PairExperts = _input.DevicePointer + _pairExperts,
                Hidden = _input.DevicePointer + _hidden,
                SlotOf = slab.SlotOf,
                SlotAddresses = slab.SlotAddresses,
                Order = Allocate((long)maxPairs * sizeof(int)),
                RowOf = Allocate((long)maxPairs * sizeof(int)),
                Blocks = Allocate(kernels.MostBlocks(maxPairs) * 16L),
                Counts = Allocate(16),
                Statuses = _output.DevicePointer,
                Middle = Allocate((long)maxPairs * shape.Intermediate * sizeof(ushort)),
                Outputs = _output.DevicePointer + _outputs,
            };
            _start = _owned.Add(new CudaEvent(CUEventFlags.Default));
            _end = _owned.Add(new CudaEvent(CUEventFlags.Default));
            _done = _owned.Add(new CudaEvent(CUEventFlags.DisableTiming));
        }
        catch
        {
            _owned.Dispose();
            throw;
        }

        CUdeviceptr Allocate(long bytes) => _owned.Add(new CudaDeviceVariable<byte>(bytes)).DevicePointer;
    }

    public CudaExpertDevice Device { get; }

    public ForwardBuffers Buffers { get; }

    public override Span<ushort> Hidden => new((byte*)_hostInput.PinnedHostPointer + _hidden, Rows * HiddenSize);

    public override Span<int> PairRows => new((byte*)_hostInput.PinnedHostPointer + _pairRows, Pairs);

    public override Span<int> PairExperts => new((byte*)_hostInput.PinnedHostPointer + _pairExperts, Pairs);

    public override Span<ushort> Outputs => new((byte*)_hostOutput.PinnedHostPointer + _outputs, Pairs * HiddenSize);

    public override Span<PairStatus> Statuses => new((byte*)_hostOutput.PinnedHostPointer, Pairs);

    /// <summary>Computes the call and waits for it.</summary>
    /// <returns>Milliseconds that the kernels took.</returns>
    /// <exception cref="CudaException">The device failed.</exception>
    public float Run(CudaStream stream) => Run(stream, isLarge: HasManyRows());

    /// <summary>The same with kernels of one's choice, which changes no bit.</summary>
    public float Run(CudaStream stream, bool isLarge)
    {
        ForwardGraph graph = Device.Graph(isLarge);
        *(ForwardHeader*)_hostInput.PinnedHostPointer = new ForwardHeader
        {
            Pairs = Pairs,
            Rows = Rows,
            Layer = Layer,
            RowsPerBlock = graph.RowsPerBlock,
        };
        long rowBytes = (long)HiddenSize * sizeof(ushort);
        _hostInput.AsyncCopyToDevice(_input.DevicePointer, 0, 0, _hidden + (Rows * rowBytes), stream.Stream);
        _start.Record(stream.Stream);
        graph.Launch(stream, Buffers);
        _end.Record(stream.Stream);
        _hostOutput.AsyncCopyFromDevice(_output.DevicePointer, 0, 0, _outputs + (Pairs * rowBytes), stream.Stream);
        _done.Record(stream.Stream);
        _done.Synchronize();
        return CudaEvent.ElapsedTime(_start, _end);
    }

    /// <summary>Whether an expert has more rows than the kernels for few take at once.</summary>
    private bool HasManyRows()
    {
        if (Pairs <= MostSmallRows)
            return false;
        Span<int> rowsOf = _rowsOf;
        rowsOf.Clear();
        foreach (int expert in PairExperts)
        {
            if ((uint)expert < (uint)rowsOf.Length && ++rowsOf[expert] > MostSmallRows)
                return true;
        }

        return false;
    }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
            _owned.Dispose();
    }
}
