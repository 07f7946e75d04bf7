using K2Cluster.Contracts;

namespace K2Cluster.Administration;

/// <summary>The placement of one cluster, as this process reaches it.</summary>
public interface IPlacementAccess
{
    /// <summary>The cluster's id.</summary>
    string Cluster { get; }

    /// <summary>Why the cluster serves nothing; null when it does, or when this process cannot tell.</summary>
    string? Problem { get; }

    /// <summary>Where operators' calls go.</summary>
    /// <exception cref="Exception">No silo is known that could have it.</exception>
    IPlacementGrain Grain { get; }

    /// <summary>The plan in force: a gateway's is the one that it uses; null before there is one.</summary>
    ValueTask<PlacementPlan?> GetPlanAsync();
}
