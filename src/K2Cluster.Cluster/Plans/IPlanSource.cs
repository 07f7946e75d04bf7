using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Plans;

/// <summary>The newest placement plan that this process knows.</summary>
public interface IPlanSource
{
    /// <summary>Null until the first plan came.</summary>
    PlacementPlan? Current { get; }

    /// <summary>Why no work should be admitted, as one line for people; null when every expert is there, or will be as soon as it is loaded again.</summary>
    string? NotReadyReason { get; }

    /// <summary>The same for clients, who may be strangers: names no host and no shard.</summary>
    string? PublicNotReadyReason { get; }

    /// <summary>Ends when a plan newer than <paramref name="known"/> is there.</summary>
    Task WaitForNewerAsync(Epoch known, CancellationToken cancellationToken);

    /// <summary>Ends when work may be admitted: the first time, when every expert is there.</summary>
    Task WaitForCompleteAsync(CancellationToken cancellationToken);
}
