namespace K2Cluster.Contracts;

/// <summary>Makes and publishes the placement plan of one model; key: the model's cluster id.</summary>
[Alias("k2.IPlacementGrain")]
public interface IPlacementGrain : IGrainWithStringKey
{
    /// <summary>Says which shards a silo has; repeated every second or so, and when something changes.</summary>
    [Alias("Report")]
    ValueTask ReportAsync(SiloReport report);

    /// <summary>
    /// Returns the plan as soon as it is newer than <paramref name="known"/>, or null after <paramref name="patience"/> (at most 10 s).
    /// Asking acknowledges <paramref name="known"/>: the gateway starts no frame of an older epoch any more. Frames of one may
    /// still be in flight: a shard answers for an expert that it dropped meanwhile with NotHeld, and the gateway asks again.
    /// </summary>
    [Alias("WaitForPlan")]
    ValueTask<PlacementPlan?> WaitForPlanAsync(string gateway, Epoch known, TimeSpan patience, CancellationToken cancellationToken);
}
