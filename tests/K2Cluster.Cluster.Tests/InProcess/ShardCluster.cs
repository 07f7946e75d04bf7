using System.Collections.Concurrent;
using K2Cluster.Cluster.Plans;
using K2Cluster.Cluster.Plans.Stores;
using K2Cluster.Contracts;
using K2Cluster.Grains;
using K2Cluster.Grains.Shards;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.TestingHost;

namespace K2Cluster.Cluster.Tests.InProcess;

/// <summary>
/// Silos in this process, as Orleans' test host makes them: the first <see cref="Shards"/> have a made-up device each, the one
/// after them is a gateway without shards.
/// </summary>
internal sealed class ShardCluster : IAsyncDisposable
{
    public const string Model = "test-model";
    public static readonly ExpertGrid Grid = new(1, 3, 12);

    private readonly MemoryPlanStore _store = new();
    private readonly InProcessTestCluster _cluster;

    private ShardCluster(int shards)
    {
        Shards = shards;
        InProcessTestClusterBuilder builder = new((short)(shards + 1));
        builder.Options.InitializeClientOnDeploy = false;
        builder.ConfigureSiloHost((silo, host) =>
        {
            bool hostsShards = silo.SiloName != GatewayName;
            host.Logging.ClearProviders();
            host.Services.AddSingleton(new ClusterOptions { Mode = ClusterMode.Localhost, ClusterId = Model, SiloName = silo.SiloName, HostsShards = hostsShards });
            host.Services.AddSingleton<IPlanStore>(_store);
            if (hostsShards)
            {
                host.Services.AddExpertShards(new ShardHostOptions
                {
                    Grid = Grid,
                    Format = "int4-g32",
                    Source = new NoTensors(),
                    CreateDevices = () => [Devices[silo.SiloName] = new MadeUpDevice(Batches.HiddenSize, 1000)],
                });
            }
            else
            {
                host.AddK2Experts();
            }
        });
        builder.ConfigureSilo((silo, orleans) =>
        {
            orleans.ConfigureMember(hostsShards: silo.SiloName != GatewayName);
            orleans.Configure<ClusterMembershipOptions>(membership => membership.EnableConnectionLivenessCheck = false); // silos die quietly here
            orleans.Configure<ClusterMembershipOptions>(membership => membership.ProbeTimeout = TimeSpan.FromMilliseconds(300));
        });
        _cluster = builder.Build();
    }

    public int Shards { get; }

    public string GatewayName => SiloName(Shards);

    public ConcurrentDictionary<string, MadeUpDevice> Devices { get; } = new();

    public IServiceProvider Gateway => Services(GatewayName);

    public IExperts Experts => Gateway.GetRequiredService<IExperts>();

    public IPlanSource Plans => Gateway.GetRequiredService<IPlanSource>();

    public static string SiloName(int index) => $"Silo_{index}";

    public static async Task<ShardCluster> StartAsync(int shards)
    {
        ShardCluster cluster = new(shards);
        await cluster._cluster.DeployAsync();
        return cluster;
    }

    public IServiceProvider Services(string silo) => _cluster.GetSiloServiceProvider(Handle(silo).SiloAddress);

    /// <summary>Every expert is on two silos, if there are two, and everything that is to move has moved.</summary>
    public Task WhenEvenAsync(int shards) => Eventually.TrueAsync(
        () => Plans is { NotReadyReason: null, Current: { Incomplete: null } plan } && plan.Shards.Length == shards
            && plan.ReplicaShards.Length == Grid.Count * Math.Min(shards, 2)
            && plan.ReplicaShards.CountBy(shard => shard).All(count => count.Value >= 0.75 * plan.ReplicaShards.Length / shards),
        $"an even plan over {shards} shards");

    public async Task KillAsync(string silo) => await _cluster.KillSiloAsync(Handle(silo));

    public async Task StartAgainAsync(string silo) => await _cluster.RestartStoppedSecondarySiloAsync(silo);

    /// <summary>How many grains of a class live on a silo.</summary>
    public async Task<int> ActivationsAsync(string silo, Type grain)
    {
        IManagementGrain management = Gateway.GetRequiredService<IGrainFactory>().GetGrain<IManagementGrain>(0);
        SimpleGrainStatistic[] statistics = await management.GetSimpleGrainStatistics([Handle(silo).SiloAddress]);
        return statistics.Where(statistic => statistic.GrainType.Contains(grain.FullName!)).Sum(statistic => statistic.ActivationCount);
    }

    public async ValueTask DisposeAsync() => await _cluster.DisposeAsync();

    private InProcessSiloHandle Handle(string silo) => _cluster.Silos.First(handle => handle.Name == silo);
}
