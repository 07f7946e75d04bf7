using Grpc.Core;
using K2Cluster.Administration;
using K2Cluster.Cluster;
using K2Cluster.Cluster.Operators;
using K2Cluster.Contracts;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Cli;

/// <summary>The silos of a cluster, asked over Orleans: what a gateway does for operators is done here, so that no gateway needs to answer.</summary>
internal sealed class DirectConnection : IClusterConnection
{
    private readonly PlacementClient _silos;
    private readonly DirectAdmin _admin;

    private DirectConnection(PlacementClient silos, string cluster) =>
        (_silos, _admin) = (silos, new DirectAdmin(new PlacementAdmin(new Placement(silos, cluster), TimeProvider.System)));

    /// <exception cref="ClusterException">No silo can be asked.</exception>
    public static async Task<IClusterConnection> OpenAsync(ClusterOptions cluster, CancellationToken cancellation) =>
        new DirectConnection(await PlacementClient.ConnectAsync(cluster, cancellation), cluster.ClusterId);

    public async Task<T> AskAsync<T>(Func<Admin.AdminClient, CallOptions, AsyncUnaryCall<T>> ask, CancellationToken cancellation, bool isChange = false)
    {
        try
        {
            return await ask(_admin, new CallOptions(cancellationToken: cancellation)).ResponseAsync;
        }
        catch (RpcException failure) when (!cancellation.IsCancellationRequested)
        {
            string hint = failure.StatusCode != StatusCode.Unavailable ? ""
                : isChange ? " The change may be in force all the same: k2 cluster explain LAYER EXPERT says so."
                : " Try again in some seconds, and see the log of the silos if it stays so.";
            throw new CommandException(TerminalText.Of(failure.Status.Detail) + hint);
        }
    }

    public ValueTask DisposeAsync() => _silos.DisposeAsync();

    private sealed class Placement(PlacementClient silos, string cluster) : IPlacementAccess
    {
        public string Cluster => cluster;

        public string? Problem => null;

        public IPlacementGrain Grain => silos.Grain;

        public ValueTask<PlacementPlan?> GetPlanAsync() => Grain.GetPlanAsync();
    }

    private sealed class DirectAdmin(PlacementAdmin admin) : Admin.AdminClient
    {
        public override AsyncUnaryCall<ClusterStatus> GetStatusAsync(GetStatusRequest request, CallOptions options) => Call(admin.GetStatusAsync(request, options.CancellationToken));

        public override AsyncUnaryCall<ClusterPlan> GetPlanAsync(GetPlanRequest request, CallOptions options) => Call(admin.GetPlanAsync(request, options.CancellationToken));

        public override AsyncUnaryCall<Explanation> ExplainAsync(ExplainRequest request, CallOptions options) => Call(admin.ExplainAsync(request, options.CancellationToken));

        public override AsyncUnaryCall<ChangeResponse> ChangeAsync(ChangeRequest request, CallOptions options) => Call(admin.ChangeAsync(request, options.CancellationToken));

        private static AsyncUnaryCall<T> Call<T>(Task<T> answer) => new(answer, Task.FromResult(new Metadata()), () => Status.DefaultSuccess, () => [], () => { });
    }
}
