using System.Net;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Cluster.Membership;
using K2Cluster.Cluster.Placement;
using K2Cluster.Cluster.Plans;
using K2Cluster.Cluster.Plans.Stores;
using K2Cluster.Cluster.Security;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Clustering.Redis;
using Orleans.Configuration;

namespace K2Cluster.Cluster;

/// <summary>Makes a process a member of a cluster.</summary>
public static class K2ClusterHosting
{
    /// <summary>Orleans' service id: constant, as ids of grains that outlive a cluster belong to it.</summary>
    internal const string ServiceId = "k2cluster";

    /// <summary>
    /// Adds an Orleans silo that joins the cluster when the host starts. The start fails with <see cref="ClusterException"/>,
    /// possibly as the cause of another exception, when the cluster cannot be joined.
    /// </summary>
    /// <exception cref="ClusterException">An option is not allowed, or the address to listen on cannot be bound.</exception>
    public static IHostApplicationBuilder AddK2Cluster(this IHostApplicationBuilder builder, ClusterOptions options)
    {
        options.Check();
        PortReservation port = PortReservation.Take(options.Listen);
        PortReservation? operators = options.TakesOperators ? PortReservation.Take(new IPEndPoint(options.Listen.Address, 0)) : null;
        builder.Services.AddSingleton(options);
        if (options.Certificates is { } certificates)
            builder.Services.AddSingleton(new FabricSecurity(certificates.ServerOptions, certificates.ClientOptions));
        builder.UseOrleans(silo =>
        {
            silo.Configure<Orleans.Configuration.ClusterOptions>(cluster => (cluster.ServiceId, cluster.ClusterId) = (ServiceId, options.ClusterId));
            silo.Configure<SiloOptions>(names => names.SiloName = options.SiloName);
            silo.Configure<EndpointOptions>(endPoints =>
            {
                endPoints.AdvertisedIPAddress = (options.Advertise ?? options.Listen).Address;
                endPoints.SiloPort = port.Port;
                endPoints.SiloListeningEndpoint = new IPEndPoint(options.Listen.Address, port.Port);
                endPoints.GatewayPort = operators?.Port ?? 0; // else members only
                endPoints.GatewayListeningEndpoint = operators is null ? null : new IPEndPoint(options.Listen.Address, operators.Port);
            });
            silo.ConfigureMember(options.HostsShards);
            silo.AddMembership(options);
            if (options.Certificates is { } certificates)
                silo.UseTls(certificates);
        });

        // After Orleans' own hosted service: once that has started, it listens.
        builder.Services.AddHostedService(_ => new PortRelease(port, operators));
        if (options.Mode == ClusterMode.Localhost)
            builder.Services.AddHostedService<ProcessWatcher>();
        return builder;
    }

    /// <summary>Adds <see cref="IExperts"/> and <see cref="IPlanSource"/> of the cluster's model: what a gateway has beyond a silo.</summary>
    public static IHostApplicationBuilder AddK2Experts(this IHostApplicationBuilder builder, DispatchOptions? options = null)
    {
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.TryAddSingleton<ILocalShards, NoLocalShards>();
        builder.Services.AddSingleton(options ?? new DispatchOptions());
        builder.Services.AddSingleton<PlanBoard>();
        builder.Services.AddSingleton<IPlanSource>(services => services.GetRequiredService<PlanBoard>());
        builder.Services.AddSingleton(services => new FabricPeers(
            services.GetRequiredService<ClusterOptions>(),
            services.GetRequiredService<IClusterMembershipService>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILogger<FabricPeers>>(),
            services.GetService<FabricSecurity>()));
        builder.Services.AddSingleton<IChannelFactory, ChannelFactory>();
        builder.Services.AddSingleton<IExperts, ExpertDispatcher>();
        builder.Services.AddHostedService<PlanWatcher>();
        return builder;
    }

    /// <summary>What every member needs however the cluster is found.</summary>
    internal static ISiloBuilder ConfigureMember(this ISiloBuilder silo, bool hostsShards)
    {
        silo.Services.TryAddSingleton(TimeProvider.System);
        silo.AddPlacementDirector<ShardPlacement, ShardPlacementDirector>();
        silo.AddActivityPropagation();
        silo.Configure<ClusterMembershipOptions>(membership =>
        {
            // A killed silo is dead after 1.2 s (measured), also where nobody can see its process; the default takes 11-13 s.
            membership.ProbeTimeout = TimeSpan.FromSeconds(1);
            membership.NumMissedProbesLimit = 3;
            membership.NumVotesForDeathDeclaration = 2;
            membership.TableRefreshTimeout = TimeSpan.FromSeconds(5);
            membership.IAmAliveTablePublishTimeout = TimeSpan.FromSeconds(5);

            // Without it, a pause of 3 s (a collection, pages coming in while hundreds of GB load) kills a healthy silo.
            membership.EnableConnectionLivenessCheck = true;
            membership.DefunctSiloExpiration = TimeSpan.FromHours(1);
            membership.DefunctSiloCleanupPeriod = TimeSpan.FromMinutes(10);
        });
        silo.Configure<SiloMessagingOptions>(messaging =>
        {
            messaging.CancelRequestOnTimeout = true; // else a timed-out forward keeps a device busy
            messaging.MaxMessageBodySize = FrameLimits.PayloadBytes * 2;
            messaging.MaxMessageHeaderSize = 1 << 20;
            messaging.MaxEnqueuedRequestsHardLimit = 10_000;

            // A shard whose silo is gone is nowhere: the caller, who knows a newer plan or waits for one, should hear it soon.
            messaging.PlacementMaxRetries = 1;
            messaging.PlacementRetryBaseDelay = TimeSpan.FromMilliseconds(20);
        });

        // One executable has both roles, so the classes are known here. A silo that merely has a class is given activations.
        if (!hostsShards)
            silo.Services.PostConfigure<GrainTypeOptions>(types => types.Classes.RemoveWhere(IsOurs));
        return silo;
    }

    private static bool IsOurs(Type type) => type.GetInterfaces().Any(contract => contract.Assembly == typeof(IExpertShardGrain).Assembly);

    private static void AddMembership(this ISiloBuilder silo, ClusterOptions options)
    {
        switch (options.Mode)
        {
            case ClusterMode.Embedded:
                silo.Services.AddSingleton<IMembershipTable, EmbeddedMembershipTable>();
                silo.Services.AddSingleton<IPlanStore, MemoryPlanStore>();
                break;
            case ClusterMode.Localhost:
                silo.Services.AddSingleton(new FileMembershipTable(options));
                silo.Services.AddSingleton<IMembershipTable>(services => services.GetRequiredService<FileMembershipTable>());
                silo.Services.AddSingleton<IPlanStore>(new FilePlanStore(options));
                silo.Configure<ClusterMembershipOptions>(membership =>
                {
                    // Dead processes are seen, not probed. And a newcomer whose first ping takes longer than this waits 5 s for
                    // the next: with several processes starting at once on two cores, 1 s is too short. The longest one keeps
                    // the time after which a stopped process is dead at 12 s.
                    membership.ProbeTimeout = TimeSpan.FromSeconds(4);
                    membership.MaxProbeTimeout = TimeSpan.FromSeconds(4);
                });
                break;
            case ClusterMode.Redis:
                silo.Services.AddSingleton(_ => new RedisConnection(options.Redis!));
                silo.Services.AddSingleton<IPlanStore>(services => new RedisPlanStore(services.GetRequiredService<RedisConnection>(), options.ClusterId));
                silo.UseRedisClustering(_ => { });
                silo.Services.ShareRedisConnection();
                break;
            default:
                throw new ClusterException($"Unknown cluster mode {options.Mode}.");
        }

        if (options.Mode != ClusterMode.Embedded)
            silo.Services.CheckMembership(MemberStamp.Of(options));
    }

    /// <summary>Has Orleans' provider use <see cref="RedisConnection"/>, which the container disposes.</summary>
    internal static void ShareRedisConnection(this IServiceCollection services) =>
        services.AddOptions<RedisClusteringOptions>().Configure<RedisConnection>(static (redis, connection) =>
        {
            redis.ConfigurationOptions = connection.Options;
            redis.CreateMultiplexer = async _ => (await connection.ConnectAsync().ConfigureAwait(false), true);
        });

    /// <summary>Puts <see cref="CheckedMembershipTable"/> before the table that is registered.</summary>
    private static void CheckMembership(this IServiceCollection services, MemberStamp stamp)
    {
        ServiceDescriptor provider = services.Last(service => service.ServiceType == typeof(IMembershipTable));
        services.Remove(provider);
        services.AddSingleton<IMembershipTable>(container => ActivatorUtilities.CreateInstance<CheckedMembershipTable>(
            container, (IMembershipTable)provider.ImplementationFactory!(container), stamp));
    }

    private sealed class PortRelease(PortReservation port, PortReservation? operators) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken)
        {
            port.Dispose();
            operators?.Dispose();
            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
