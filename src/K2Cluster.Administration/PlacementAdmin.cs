using System.Collections.Immutable;
using Grpc.Core;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Administration;

/// <summary>The calls of k2cluster.v1.Admin: what operators ask, passed on to the placement of the cluster. Failures are gRPC's, with a sentence.</summary>
public sealed class PlacementAdmin(IPlacementAccess placement, TimeProvider time)
{
    /// <summary>Longer than the placement waits for its store.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(15);

    public async Task<ClusterStatus> GetStatusAsync(GetStatusRequest _, CancellationToken cancellation) =>
        AdminMapping.Status(placement.Cluster, await AskAsync(() => placement.Grain.GetStatusAsync(), cancellation));

    public async Task<ClusterPlan> GetPlanAsync(GetPlanRequest request, CancellationToken cancellation)
    {
        PlacementPlan plan = await AskAsync(placement.GetPlanAsync, cancellation)
            ?? throw new RpcException(new Status(StatusCode.Unavailable, $"There is no plan yet: {placement.Problem ?? "silos with shards are waited for"}."));
        ExpertGrid grid = plan.Grid;
        if (request.HasLayer && !grid.Contains(AdminMapping.Number(request.Layer), 0))
            throw new RpcException(new Status(StatusCode.NotFound, $"There are no experts in layer {request.Layer}: layers {grid.FirstLayer} to {grid.FirstLayer + grid.Layers - 1} have some."));
        return AdminMapping.Plan(placement.Cluster, plan, request.HasLayer ? AdminMapping.Number(request.Layer) : null);
    }

    public async Task<Explanation> ExplainAsync(ExplainRequest request, CancellationToken cancellation) =>
        AdminMapping.Explanation(placement.Cluster, request, await AskAsync(() => placement.Grain.ExplainAsync(AdminMapping.Number(request.Layer), AdminMapping.Number(request.Expert)), cancellation));

    public async Task<ChangeResponse> ChangeAsync(ChangeRequest request, CancellationToken cancellation)
    {
        ImmutableArray<Contracts.Operators.PlacementChange> changes = [.. request.Changes.Select(AdminMapping.Change)];
        return AdminMapping.Outcome(placement.Cluster, await AskAsync(() => placement.Grain.ChangeAsync(changes, request.WhatIf), cancellation), request.WhatIf);
    }

    private async Task<T> AskAsync<T>(Func<ValueTask<T>> ask, CancellationToken cancellation)
    {
        try
        {
            return await ask().AsTask().WaitAsync(Patience, time, cancellation);
        }
        catch (PlacementRefusedException refused)
        {
            throw new RpcException(new Status(CodeOf(refused.Refusal), refused.Message));
        }
        catch (Exception exception) when (!cancellation.IsCancellationRequested)
        {
            // Whatever Orleans makes of silos that are gone, start, or do not answer.
            string reason = exception is TimeoutException ? $"it did not answer in {Patience.TotalSeconds:0} s" : exception.Message.TrimEnd('.');
            throw new RpcException(new Status(StatusCode.Unavailable, $"The placement cannot be reached: {reason}.{(placement.Problem is { } problem ? $" This gateway is not ready: {problem}." : "")}"));
        }
    }

    private static StatusCode CodeOf(PlacementRefusal refusal) => refusal switch
    {
        PlacementRefusal.NotFound => StatusCode.NotFound,
        PlacementRefusal.NotPossible => StatusCode.FailedPrecondition,
        PlacementRefusal.NotReady => StatusCode.Unavailable,
        _ => StatusCode.InvalidArgument,
    };
}
