namespace K2Cluster.Cluster.Dispatch;

/// <summary>How the dispatcher deals with shards that do not answer.</summary>
public sealed record DispatchOptions
{
    /// <summary>Batches in flight at once, at least 2. Default 4.</summary>
    public int MaxInFlight { get; init; } = 4;

    /// <summary>
    /// From its submission on, how long a batch may take at most, whatever happens to it: then its open rows leave the step as
    /// Unavailable. This bounds <see cref="Kernels.Experts.IExperts.Collect"/>. Default 30 s: a large frame on a slow device is not a dead one.
    /// </summary>
    public TimeSpan Limit { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long a batch's good rows wait for rows whose expert is on no shard, or only on shards that fail: these are tried
    /// again, best under a newer plan. Then they leave the step as Unavailable, and the engine replays them when it likes. What
    /// has been missing or failing for so long already, in other batches, is not waited for. Default 250 ms: what a silo killed
    /// on the same machine takes to be noticed.
    /// </summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>How long one call may take, queueing included, before it counts as failed; what is left of <see cref="Limit"/> if that is less. Default 30 s.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Wait before the first retry, unless a new plan comes earlier; doubled each time up to <see cref="LongestBackoff"/>. Default 5 ms.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>Default 200 ms.</summary>
    public TimeSpan LongestBackoff { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>
    /// A call whose experts have other replicas is late after what calls of its size take (four deviations above the mean), but
    /// never sooner than this: then they are asked, too, and the first answer counts, whichever it is, as all are equal to the
    /// bit. Default 20 ms.
    /// </summary>
    public TimeSpan ShortestHedge { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>When a call is late whose size the shard has hardly answered yet. Default 1 s.</summary>
    public TimeSpan FirstHedge { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>At most so many of a hundred calls are hedged, beyond a few at once: more of them means that the cluster is busy, not a shard slow. Default 10.</summary>
    public int HedgePercent { get; init; } = 10;

    /// <summary>How long a shard that was late is not asked what another replica can answer; twice as long each time in a row, up to <see cref="LongestAvoidance"/>. Default 1 s.</summary>
    public TimeSpan FirstAvoidance { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Default 30 s.</summary>
    public TimeSpan LongestAvoidance { get; init; } = TimeSpan.FromSeconds(30);
}
