using K2Cluster.Contracts;
using K2Cluster.Grains;
using K2Cluster.Grains.Shards;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Cluster.Tests.InProcess;

/// <summary>Hosts as the executables make them, in this process.</summary>
internal static class HostedMember
{
    public static readonly ExpertGrid Grid = new(1, 3, 12);

    /// <summary>A host with or without a shard, with or without a gateway's dispatcher.</summary>
    public static IHost Build(ClusterOptions options, bool gateway, int capacity = 1000, bool sharesThreads = false, Action<HostApplicationBuilder>? configure = null)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.ClearProviders();
        builder.AddK2Cluster(options);
        if (options.HostsShards)
        {
            builder.Services.AddExpertShards(new ShardHostOptions
            {
                Grid = Grid,
                Format = "int4-g32",
                Source = new NoTensors(),
                SharesThreads = sharesThreads,
                CreateDevices = () => [new MadeUpDevice(Batches.HiddenSize, capacity)],
            });
        }

        if (gateway)
            builder.AddK2Experts();
        configure?.Invoke(builder);
        return builder.Build();
    }
}
