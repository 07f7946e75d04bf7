namespace K2Cluster.Cluster.Dispatch;

/// <summary>The routes that a batch goes by just now, and what it knows of their shards itself.</summary>
internal sealed class BatchRoutes(ExpertFaults faults, TimeProvider time)
{
    /// <summary>[shards] When (timestamp) a shard failed this batch under these routes; 0: it did not.</summary>
    private long[] _failedSince = [];

    /// <summary>[shards] How many late calls of this batch it has: it is not asked again before it answers.</summary>
    private int[] _late = [];

    /// <summary>Null before there is a plan.</summary>
    public RouteTable? Table { get; private set; }

    /// <summary>A new batch begins.</summary>
    public void Clear() => Table = null;

    /// <summary>Goes by other routes: a new plan, a new chance for every shard.</summary>
    public void Use(RouteTable table)
    {
        Table = table;
        if (_failedSince.Length < table.Shards)
            (_failedSince, _late) = (new long[table.Shards], new int[table.Shards]);
        _failedSince.AsSpan().Clear();
        _late.AsSpan().Clear();
    }

    /// <summary>When (timestamp) a shard failed this batch; 0: it did not.</summary>
    public long FailedSince(int shard) => _failedSince[shard];

    /// <summary>
    /// Of an expert's replicas, the one with the least in flight; one that failed this batch, or was late lately, only if there
    /// is no other; never one that owes this batch an answer, or whose expert gave no finite numbers. -1 when there is none.
    /// </summary>
    /// <param name="expert">Index of the grid.</param>
    public int Choose(int expert)
    {
        RouteTable table = Table!;
        int best = -1;
        (bool Failed, bool Avoided, int InFlight) bestCost = default;
        foreach (int shard in table.Plan.ReplicasOf(expert))
        {
            if (_late[shard] != 0 || faults.IsQuarantined(table.Plan.Shards[shard], expert))
                continue;
            (bool, bool, int) cost = (_failedSince[shard] != 0 || table.Channel(shard).IsSilent, table.Pace(shard).IsAvoided, table.Channel(shard).InFlight);
            if (best < 0 || cost.CompareTo(bestCost) < 0)
                (best, bestCost) = (shard, cost);
        }

        return best;
    }

    /// <summary>Whether an expert (index of the grid) may be asked of a shard other than this one.</summary>
    public bool HasOther(int expert, int than)
    {
        foreach (int shard in Table!.Plan.ReplicasOf(expert))
        {
            if (shard != than && _late[shard] == 0 && _failedSince[shard] == 0)
                return true;
        }

        return false;
    }

    /// <summary>A call is late: its shard is not asked again by this batch.</summary>
    public void NoteLate(DispatchCall call)
    {
        _late[call.Shard]++;
    }

    /// <summary>What the end of a call says of its shard, to this batch and to all.</summary>
    public void Note(string outcome, DispatchCall call, TimeSpan duration)
    {
        RouteTable table = call.Routes;
        int shard = call.Shard;
        bool isCurrent = ReferenceEquals(table, Table);
        if (call.IsLate && isCurrent)
            _late[shard]--;
        if (outcome == "ok")
        {
            table.Pace(shard).Answered(call.Pairs.Length, (long)(duration.TotalSeconds * time.TimestampFrequency));
            if (!call.IsLate)
                table.Pace(shard).InTime();
        }

        bool isGone = outcome is "unavailable" or "wrong_incarnation";
        if (!isGone)
            table.Answered(shard);
        long since = isGone ? table.Failed(shard)
            : outcome == "not_held" ? table.NotHeld(shard)
            : outcome == "busy" ? time.GetTimestamp() // nothing that lasts: each batch has its own patience with it
            : 0;
        if (isCurrent && since != 0 && (_failedSince[shard] == 0 || outcome != "busy"))
            _failedSince[shard] = since;
    }
}
