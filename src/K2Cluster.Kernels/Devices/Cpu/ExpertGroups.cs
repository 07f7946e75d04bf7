namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>The pairs of one work by expert, so that an expert's weights are read once per call. Made once, reused.</summary>
internal sealed class ExpertGroups(int maxPairs, int routedExperts)
{
    private readonly int[] _order = new int[maxPairs];
    private readonly int[] _ends = new int[routedExperts];
    private readonly CpuExpert?[] _experts = new CpuExpert?[Math.Min(maxPairs, routedExperts)];
    private readonly int[] _starts = new int[Math.Min(maxPairs, routedExperts) + 1];

    /// <summary>Groups whose expert is held.</summary>
    public int Count { get; private set; }

    /// <summary>Pairs in all groups.</summary>
    public int Pairs => _starts[Count];

    public CpuExpert Expert(int group) => _experts[group]!;

    /// <summary>The pairs of all groups, group after group.</summary>
    public ReadOnlySpan<int> Order => _order.AsSpan(0, Pairs);

    /// <summary>Where a group starts in the order; <c>Start(Count)</c> is the end.</summary>
    public int Start(int group) => _starts[group];

    /// <summary>
    /// Sorts the pairs by expert. A pair whose row is out of range is Failed, one whose expert <paramref name="layer"/> does
    /// not hold is NotHeld; neither is in a group.
    /// </summary>
    /// <param name="work">The pairs.</param>
    /// <param name="layer">[routed experts] of the work's layer, null where not held; empty where it has none. Each group adds a use to its expert.</param>
    public void Build(CpuExpertWork work, ReadOnlySpan<CpuExpert?> layer)
    {
        Span<int> rows = work.PairRows;
        Span<int> experts = work.PairExperts;
        Span<PairStatus> statuses = work.Statuses;
        Array.Clear(_ends);
        for (int pair = 0; pair < rows.Length; pair++)
        {
            int expert = experts[pair];
            if ((uint)rows[pair] >= (uint)work.Rows)
                statuses[pair] = PairStatus.Failed;
            else if ((uint)expert >= (uint)layer.Length || layer[expert] is null)
                statuses[pair] = PairStatus.NotHeld;
            else
                _ends[expert]++;
        }

        Count = 0;
        int next = 0;
        for (int expert = 0; expert < layer.Length; expert++)
        {
            int count = _ends[expert];
            _ends[expert] = next;
            if (count == 0)
                continue;
            CpuExpert held = layer[expert]!;
            held.Uses++;
            _experts[Count] = held;
            _starts[Count++] = next;
            next += count;
        }

        _starts[Count] = next;
        for (int pair = 0; pair < rows.Length; pair++)
        {
            if (statuses[pair] == PairStatus.Pending)
                _order[_ends[experts[pair]]++] = pair;
        }
    }

    /// <summary>Forgets the experts; the caller has given back their uses.</summary>
    public void Clear()
    {
        Array.Clear(_experts, 0, Count);
        Count = 0;
        _starts[0] = 0;
    }
}
