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

    /// <summary>How long after its start a new placement drops nothing, as it does not know yet which gateways there are.</summary>
    public TimeSpan NoDrops { get; init; } = TimeSpan.FromSeconds(6);

    /// <summary>A gateway that has not asked for so long is gone; it asks every 5 s.</summary>
    public TimeSpan GatewayAge { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>While experts load one by one, plans are published no more often than this. What takes a route away is published at once.</summary>
    public TimeSpan PublishInterval { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>An assignment that a shard has not confirmed is sent again after this.</summary>
    public TimeSpan ResendInterval { get; init; } = TimeSpan.FromSeconds(1);
}
