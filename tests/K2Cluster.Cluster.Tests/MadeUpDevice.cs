using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Tests;

/// <summary>A device whose experts are a formula: any two agree to the bit, and a wrong row, expert or layer shows.</summary>
internal sealed class MadeUpDevice(int hiddenSize, long capacity, string kind = "cpu") : IExpertDevice
{
    private readonly HashSet<ExpertKey> _held = [];

    public DeviceDescription Description { get; } = new("made up", kind, capacity);

    public long ExpertBytes => 1;

    public int LoadThreads { get; init; } = 1;

    /// <summary>Runs before each forward, on the worker's thread.</summary>
    public Action<ExpertWork> BeforeForward { get; set; } = _ => { };

    /// <summary>Runs before each load, on a loading thread.</summary>
    public Action<ExpertKey> BeforeLoad { get; set; } = _ => { };

    /// <summary>Runs before buffers are made, with (rows, pairs).</summary>
    public Action<int, int> BeforeCreateWork { get; set; } = (_, _) => { };

    public string? Lost { get; set; }

    public bool IsDisposed { get; private set; }

    public static ushort Output(ushort hidden, int layer, int expert) => (ushort)(((hidden * 31) + (layer * 1009) + (expert * 7919) + 1) & 0xBFFF); // BF16: below 2, so finite

    public void Load(ExpertKey expert, ITensorSource source)
    {
        BeforeLoad(expert);
        lock (_held)
        {
            if (_held.Count >= capacity)
                throw new InsufficientMemoryException($"{capacity} experts are held, which is the budget.");
            _held.Add(expert);
        }
    }

    public bool Unload(ExpertKey expert)
    {
        lock (_held)
            return _held.Remove(expert);
    }

    public bool Holds(ExpertKey expert)
    {
        lock (_held)
            return _held.Contains(expert);
    }

    public ExpertWork CreateWork(int maxRows, int maxPairs)
    {
        BeforeCreateWork(maxRows, maxPairs);
        return new Work(maxRows, maxPairs, hiddenSize);
    }

    public void Forward(ExpertWork work)
    {
        BeforeForward(work);
        for (int pair = 0; pair < work.Pairs; pair++)
        {
            bool holds = Holds(new ExpertKey(work.Layer, work.PairExperts[pair]));
            work.Statuses[pair] = holds ? PairStatus.Done : PairStatus.NotHeld;
            for (int i = 0; i < hiddenSize && holds; i++)
                work.Outputs[(pair * hiddenSize) + i] = Output(work.Hidden[(work.PairRows[pair] * hiddenSize) + i], work.Layer, work.PairExperts[pair]);
        }
    }

    public void Dispose() => IsDisposed = true;

    private sealed class Work(int maxRows, int maxPairs, int hiddenSize) : ExpertWork(maxRows, maxPairs, hiddenSize)
    {
        private bool _disposed;

        private readonly ushort[] _hidden = new ushort[maxRows * hiddenSize];
        private readonly int[] _rows = new int[maxPairs];
        private readonly int[] _experts = new int[maxPairs];
        private readonly ushort[] _outputs = new ushort[maxPairs * hiddenSize];
        private readonly PairStatus[] _statuses = new PairStatus[maxPairs];

        public override Span<ushort> Hidden => _disposed ? throw new ObjectDisposedException(nameof(Work)) : _hidden.AsSpan(0, Rows * HiddenSize);

        public override Span<int> PairRows => _rows.AsSpan(0, Pairs);

        public override Span<int> PairExperts => _experts.AsSpan(0, Pairs);

        public override Span<ushort> Outputs => _outputs.AsSpan(0, Pairs * HiddenSize);

        public override Span<PairStatus> Statuses => _statuses.AsSpan(0, Pairs);

        protected override void Dispose(bool disposing)
        {
            _disposed = true;
            base.Dispose(disposing);
        }
    }
}
