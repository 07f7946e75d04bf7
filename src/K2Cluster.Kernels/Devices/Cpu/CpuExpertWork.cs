using K2Cluster.Kernels.Matrices;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>The buffers of one forward call on the CPU: those of the seam, and what the kernels need between.</summary>
internal sealed unsafe class CpuExpertWork : ExpertWork
{
    private readonly AlignedMemory _hidden;
    private readonly AlignedMemory _outputs;
    private readonly AlignedMemory _intermediate;
    private readonly AlignedMemory? _wideHidden;
    private readonly QuantizedRows? _quantizedHidden;
    private readonly QuantizedRows? _quantizedIntermediate;
    private readonly int[] _pairRows;
    private readonly int[] _pairExperts;
    private readonly PairStatus[] _statuses;

    public CpuExpertWork(int maxRows, int maxPairs, int hiddenSize, int intermediateSize, int routedExperts, bool int4, CpuActivations activations)
        : base(maxRows, maxPairs, hiddenSize)
    {
        Activations = activations;
        IntermediateStride = (intermediateSize + LaneMath.LaneCount - 1) / LaneMath.LaneCount * LaneMath.LaneCount;
        _pairRows = new int[maxPairs];
        _pairExperts = new int[maxPairs];
        _statuses = new PairStatus[maxPairs];
        Groups = new ExpertGroups(maxPairs, routedExperts);
        _hidden = new AlignedMemory((long)maxRows * hiddenSize * sizeof(ushort));
        _outputs = new AlignedMemory((long)maxPairs * hiddenSize * sizeof(ushort));
        _intermediate = new AlignedMemory((long)maxPairs * IntermediateStride * sizeof(float));
        if (int4)
        {
            _quantizedHidden = new QuantizedRows(maxRows, hiddenSize, activations);
            _quantizedIntermediate = new QuantizedRows(maxPairs, intermediateSize, activations);
        }
        else
        {
            _wideHidden = new AlignedMemory((long)maxPairs * hiddenSize * sizeof(float));
        }
    }

    public override Span<ushort> Hidden => new(Live(_hidden).Pointer, Rows * HiddenSize);

    public override Span<int> PairRows => _pairRows.AsSpan(0, Pairs);

    public override Span<int> PairExperts => _pairExperts.AsSpan(0, Pairs);

    public override Span<ushort> Outputs => new(Live(_outputs).Pointer, Pairs * HiddenSize);

    public override Span<PairStatus> Statuses => _statuses.AsSpan(0, Pairs);

    public ExpertGroups Groups { get; }

    /// <summary>Of INT4 experts.</summary>
    public CpuActivations Activations { get; }

    /// <summary>By row; only with INT4 experts.</summary>
    public QuantizedRows QuantizedHidden => _quantizedHidden!;

    /// <summary>By position of the order; only with INT4 experts.</summary>
    public QuantizedRows QuantizedIntermediate => _quantizedIntermediate!;

    /// <summary>Floats from one intermediate row to the next: whole blocks of 16.</summary>
    public int IntermediateStride { get; }

    public bool IsDisposed => _hidden.IsClosed;

    public ReadOnlySpan<ushort> HiddenRow(int row) => new((ushort*)_hidden.Pointer + (long)row * HiddenSize, HiddenSize);

    /// <summary>The hidden row, in FP32, of the pair at a position of the order; only with BF16 experts.</summary>
    public float* WideHidden(int position) => (float*)_wideHidden!.Pointer + (long)position * HiddenSize;

    /// <summary>The SwiGLU values of the pair at a position of the order.</summary>
    public float* Intermediate(int position) => (float*)_intermediate.Pointer + (long)position * IntermediateStride;

    public ushort* Output(int pair) => (ushort*)_outputs.Pointer + (long)pair * HiddenSize;

    private AlignedMemory Live(AlignedMemory memory)
    {
        ObjectDisposedException.ThrowIf(memory.IsClosed, this);
        return memory;
    }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (!disposing)
            return;
        _hidden.Dispose();
        _outputs.Dispose();
        _intermediate.Dispose();
        _wideHidden?.Dispose();
        _quantizedHidden?.Dispose();
        _quantizedIntermediate?.Dispose();
    }
}
