using K2Cluster.Cluster.Membership;
using K2Cluster.Cluster.Security;
using K2Cluster.Contracts;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Clustering.Redis;
using Orleans.Messaging;

namespace K2Cluster.Cluster.Operators;

/// <summary>
/// The placement of a cluster as a process reaches it that is no member: through the port that each silo has for this. It joins
/// nothing, writes into no table of members, and hosts nothing.
/// </summary>
public sealed class PlacementClient : IAsyncDisposable
{
    /// <summary>Silos that are stopped, not dead, take connections and do not answer.</summary>
    private static readonly TimeSpan ConnectLimit = TimeSpan.FromSeconds(15);

    private readonly IHost _host;
    private readonly string _cluster;

    private PlacementClient(IHost host, string cluster) => (_host, _cluster) = (host, cluster);

    public IPlacementGrain Grain => _host.Services.GetRequiredService<IClusterClient>().GetGrain<IPlacementGrain>(_cluster);

    /// <param name="options">How the cluster is found, and the certificates; its other values are a member's and count for nothing.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="ClusterException">No silo of the cluster can be asked.</exception>
    public static async Task<PlacementClient> ConnectAsync(ClusterOptions options, CancellationToken cancellationToken)
    {
        options.Check();
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.AddSingleton(TimeProvider.System);
        builder.UseOrleansClient(client =>
        {
            client.Configure<Orleans.Configuration.ClusterOptions>(cluster => (cluster.ServiceId, cluster.ClusterId) = (K2ClusterHosting.ServiceId, options.ClusterId));
            if (options.Certificates is { } certificates)
                client.UseTls(certificates);
            AddSilos(client, options);
        });

        PlacementClient connected = new(builder.Build(), options.ClusterId);
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(ConnectLimit);
        try
        {
            await connected._host.StartAsync(limit.Token).WaitAsync(limit.Token).ConfigureAwait(false);
            return connected;
        }
        catch (Exception exception)
        {
            await connected.DisposeAsync().ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            string reason = limit.IsCancellationRequested ? $"none did within {ConnectLimit.TotalSeconds:0} s; try again, as one that hangs is no member by then" : exception.GetBaseException().Message.ReplaceLineEndings(" ");
            throw Known(exception) ?? new ClusterException($"No silo of cluster {options.ClusterId} answers: {reason}.", exception);
        }
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await _host.StopAsync().ConfigureAwait(false);
        }
        catch (Exception)
        {
            // A client that never connected has nothing to end in order.
        }

        if (_host is IAsyncDisposable disposable)
            await disposable.DisposeAsync().ConfigureAwait(false);
    }

    private static void AddSilos(IClientBuilder client, ClusterOptions options)
    {
        MemberStamp stamp = MemberStamp.Of(options);
        switch (options.Mode)
        {
            case ClusterMode.Localhost:
                MembershipFile file = new(options.StateFolderOrDefault, options.ClusterId);
                client.Services.AddSingleton<IGatewayListProvider>(_ => new OperatorSilos(() => Task.FromResult(ReadAlive(file)), stamp, options.ClusterId));
                break;
            case ClusterMode.Redis:
                client.Services.AddSingleton(_ => new RedisConnection(options.Redis!));
                client.UseRedisClustering(_ => { });
                client.Services.ShareRedisConnection();
                client.Services.AddSingleton<IGatewayListProvider>(services => new OperatorSilos(() => ReadAsync(services.GetRequiredService<IMembershipTable>()), stamp, options.ClusterId));
                break;
            default:
                throw new ClusterException("An embedded cluster is in its gateway's process alone: ask the gateway.");
        }
    }

    private static IReadOnlyList<MembershipEntry> ReadAlive(MembershipFile file)
    {
        if (!File.Exists(file.Path))
            return [];
        file.Create(); // checks that the folder is this user's alone
        return [.. file.Read().Rows.Where(row => ProcessIdentity.IsAlive(row.Process)).Select(row => row.ToEntry())];
    }

    private static async Task<IReadOnlyList<MembershipEntry>> ReadAsync(IMembershipTable table)
    {
        try
        {
            await table.InitializeMembershipTableAsync(tryInitTableVersion: false, CancellationToken.None).ConfigureAwait(false);
            return [.. (await table.ReadAllAsync(CancellationToken.None).ConfigureAwait(false)).Members.Select(member => member.Item1)];
        }
        catch (RedisClusteringException)
        {
            return []; // Redis answers, and has no table of this cluster
        }
    }

    /// <summary>The cause that says what to do.</summary>
    private static ClusterException? Known(Exception? exception)
    {
        while (exception is not (null or ClusterException))
            exception = exception.InnerException;
        return exception as ClusterException;
    }

    /// <summary>Signals are for the tool that asks.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
