using System.Collections.Immutable;
using K2Cluster.Contracts.Operators;

namespace K2Cluster.Contracts;

/// <summary>Makes and publishes the placement plan of one model; key: the model's cluster id.</summary>
[Alias("k2.IPlacementGrain")]
public interface IPlacementGrain : IGrainWithStringKey
{
    /// <summary>Says which shards a silo has; repeated every second or so, and when something changes.</summary>
    [Alias("Report")]
    ValueTask ReportAsync(SiloReport report);

    /// <summary>
    /// How many of the experts that a leaving silo still holds no other silo has room for; null where that is not known yet.
    /// A silo leaves whose shards report a budget of nothing.
    /// </summary>
    [Alias("CountHomeless")]
    ValueTask<int?> CountHomelessAsync(string silo);

    /// <summary>
    /// Returns the plan as soon as it is newer than <paramref name="known"/>, or null after <paramref name="patience"/> (at most 10 s).
    /// Asking acknowledges <paramref name="known"/>: the gateway starts no frame of an older epoch any more. Frames of one may
    /// still be in flight: a shard answers for an expert that it dropped meanwhile with NotHeld, and the gateway asks again.
    /// </summary>
    [Alias("WaitForPlan")]
    ValueTask<PlacementPlan?> WaitForPlanAsync(string gateway, Epoch known, TimeSpan patience, CancellationToken cancellationToken);

    /// <summary>The plan in force, null before there is one; asking acknowledges nothing.</summary>
    [Alias("GetPlan")]
    ValueTask<PlacementPlan?> GetPlanAsync();

    /// <summary>How the placement stands, for operators.</summary>
    [Alias("GetStatus")]
    ValueTask<PlacementStatus> GetStatusAsync();

    /// <summary>Where an expert is to be, and why.</summary>
    /// <exception cref="PlacementRefusedException">There is no such expert, or no plan yet.</exception>
    [Alias("Explain")]
    ValueTask<ExpertExplanation> ExplainAsync(int layer, int expert);

    /// <summary>
    /// Does what an operator asks for, in this order and all of it or nothing, and returns what that changes; it is kept in the store until
    /// it is taken back. With <paramref name="whatIf"/> it only tells.
    /// </summary>
    /// <exception cref="PlacementRefusedException">It cannot be done.</exception>
    [Alias("Change")]
    ValueTask<PlacementOutcome> ChangeAsync(ImmutableArray<PlacementChange> changes, bool whatIf);
}
