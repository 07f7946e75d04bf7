using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Plans;

/// <summary>The newest placement plan that this process knows.</summary>
public interface IPlanSource
{
    /// <summary>Null until the first plan came.</summary>
    PlacementPlan? Current { get; }

    /// <summary>Why not every expert can be reached now, as one line for people; null when all can.</summary>
    string? NotReadyReason { get; }

    /// <summary>Ends when a plan newer than <paramref name="known"/> is there.</summary>
    Task WaitForNewerAsync(Epoch known, CancellationToken cancellationToken);

    /// <summary>Ends when every expert can be reached.</summary>
    Task WaitForCompleteAsync(CancellationToken cancellationToken);
}
