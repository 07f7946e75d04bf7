using Grpc.Core;
using K2Cluster.Administration;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Gateway.Grpc;

/// <summary>k2cluster.v1.Admin.</summary>
internal sealed class AdminService(PlacementAdmin admin) : Admin.AdminBase
{
    public override Task<ClusterStatus> GetStatus(GetStatusRequest request, ServerCallContext context) => admin.GetStatusAsync(request, context.CancellationToken);

    public override Task<ClusterPlan> GetPlan(GetPlanRequest request, ServerCallContext context) => admin.GetPlanAsync(request, context.CancellationToken);

    public override Task<Explanation> Explain(ExplainRequest request, ServerCallContext context) => admin.ExplainAsync(request, context.CancellationToken);

    public override Task<ChangeResponse> Change(ChangeRequest request, ServerCallContext context) => admin.ChangeAsync(request, context.CancellationToken);
}
