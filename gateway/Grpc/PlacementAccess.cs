using K2Cluster.Administration;
using K2Cluster.Cluster;
using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;

namespace K2Cluster.Gateway.Grpc;

/// <summary>By Orleans, as a member of the cluster.</summary>
internal sealed class PlacementAccess(IGrainFactory grains, ClusterOptions options, IPlanSource plans) : IPlacementAccess
{
    public string Cluster => options.ClusterId;

    public string? Problem => plans.NotReadyReason;

    public IPlacementGrain Grain => grains.GetGrain<IPlacementGrain>(options.ClusterId);

    public ValueTask<PlacementPlan?> GetPlanAsync() => ValueTask.FromResult(plans.Current);
}
