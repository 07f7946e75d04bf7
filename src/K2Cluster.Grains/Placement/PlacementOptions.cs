using K2Cluster.Planning;

namespace K2Cluster.Grains.Placement;

/// <summary>The times by which a placement decides. Each has one value in use; tests choose others.</summary>
internal sealed record PlacementOptions
{
    /// <summary>
    /// A silo that has not reported for so long is out: ten reports missed. Membership sees processes die sooner; a busy host
    /// that is late should not have its experts loaded elsewhere.
    /// </summary>
    public TimeSpan ReportAge { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a new placement waits for the reports of silos that membership knows, before it decides without them. It
    /// knows nothing of the one before; deciding at the first report would load everything onto the first silo.
    /// </summary>
    public TimeSpan Settling { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// How long after its start a new placement drops nothing unless every gateway that membership knows has asked it for a plan:
    /// what a lost silo had may need the room of others' replicas.
    /// </summary>
    public TimeSpan NoDrops { get; init; } = TimeSpan.FromSeconds(6);

    /// <summary>A gateway that has not asked for so long is gone; it asks every second.</summary>
    public TimeSpan GatewayAge { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>While replicas load one by one, plans are published no more often than this. What takes a route away is published at once.</summary>
    public TimeSpan PublishInterval { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The same while experts are missing: somebody waits for each of them. For Kimi K2 that is 2 MB/s to each gateway.</summary>
    public TimeSpan MissingPublishInterval { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>An assignment that a shard has not confirmed is sent again after this.</summary>
    public TimeSpan ResendInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How often experts are planned anew because other ones are asked for. Shards that come or go are planned for at once.</summary>
    public TimeSpan LoadPeriod { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>After this, a row counts half for what an expert is asked for: long enough that a single request moves nothing.</summary>
    public TimeSpan LoadHalfLife { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>What a plan weighs.</summary>
    public PlannerOptions Planner { get; init; } = new();
}
