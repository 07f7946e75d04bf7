using K2Cluster.Kernels.Experts;

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

    /// <summary>Goes by other routes: a new plan, a new chance for every shard, unless it owes a late answer still.</summary>
    public void Use(RouteTable table, ReadOnlySpan<DispatchCall> underWay)
    {
        Table = table;
        if (_failedSince.Length < table.Shards)
            (_failedSince, _late) = (new long[table.Shards], new int[table.Shards]);
        _failedSince.AsSpan().Clear();
        _late.AsSpan().Clear();
        foreach (DispatchCall call in underWay)
        {
            call.Place = table.Plan.Shards.IndexOf(call.Routes.Plan.Shards[call.Shard]);
            if (call.IsLate && call.Place >= 0)
                _late[call.Place]++;
        }
    }

    /// <summary>The index in the grid of the expert of a batch's pair.</summary>
    public int Index(ExpertBatch batch, int pair) => Table!.Plan.Grid.Index(batch.Layer, batch.ExpertIds.Span[pair]);

    /// <summary>When (timestamp) a shard failed this batch; 0: it did not.</summary>
    public long FailedSince(int shard) => _failedSince[shard];

    /// <summary>
    /// Whether a shard may be asked for an expert (index of the grid) now, and whether better only where no other may: it failed
    /// this batch, or was late lately. Never one that owes this batch an answer, or whose expert gave no finite numbers.
    /// </summary>
    public ShardStanding Standing(int shard, int expert) =>
        _late[shard] != 0 || faults.IsQuarantined(Table!.Plan.Shards[shard], expert) ? ShardStanding.Barred
        : _failedSince[shard] != 0 || Table.Channel(shard).IsSilent ? ShardStanding.Failed
        : Table.Pace(shard).IsAvoided ? ShardStanding.Avoided
        : ShardStanding.Good;

    /// <summary>Whether a shard other than this one (-1: any) has an expert (index of the grid).</summary>
    public bool IsElsewhere(int expert, int than) => Table!.Plan.ReplicasOf(expert).ContainsAnyExcept(than);

    /// <summary>Whether an expert (index of the grid) may be asked of a shard other than this one (-1: of any).</summary>
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
        if (call.Place >= 0 && !call.IsLate)
            _late[call.Place]++;
    }

    /// <summary>What the end of a call says of its shard, to this batch and to all.</summary>
    public void Note(string outcome, DispatchCall call, TimeSpan duration)
    {
        RouteTable table = call.Routes;
        int shard = call.Shard;
        bool isCurrent = ReferenceEquals(table, Table);
        if (call.IsLate && call.Place >= 0)
            _late[call.Place]--;
        if (outcome == "ok")
        {
            table.Pace(shard).Answered(call.Pairs.Length, time.Units(duration));
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
