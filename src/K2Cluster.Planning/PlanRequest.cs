namespace K2Cluster.Planning;

/// <summary>All that a plan is made from. The same request gives the same plan.</summary>
/// <param name="Shape">The experts.</param>
/// <param name="Devices">In any order, each id once.</param>
public sealed record PlanRequest(PlanShape Shape, IReadOnlyList<PlanDevice> Devices)
{
    /// <summary>[experts]: rows of each by any measure, only the ratio within a layer counts. Null when unknown: then all are taken as alike, and replicas that are there stay.</summary>
    public IReadOnlyList<double>? Load { get; init; }

    /// <summary>The plan before this one; null for the first, which then goes by what devices hold.</summary>
    public ExpertPlan? Previous { get; init; }

    public PlanWishes Wishes { get; init; } = PlanWishes.None;

    public PlannerOptions Options { get; init; } = new();
}
