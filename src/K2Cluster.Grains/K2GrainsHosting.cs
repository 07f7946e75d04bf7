using K2Cluster.Cluster;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Grains.Shards;
using K2Cluster.Kernels.Devices;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Grains;

/// <summary>Puts expert shards into a member of a cluster.</summary>
public static class K2GrainsHosting
{
    /// <summary>Adds the shards. Call it after AddK2Cluster, whose options say that the process hosts shards.</summary>
    public static IServiceCollection AddExpertShards(this IServiceCollection services, ShardHostOptions options) => services.AddExpertShards(_ => options);

    /// <summary>As the other, with options made of what the container has.</summary>
    public static IServiceCollection AddExpertShards(this IServiceCollection services, Func<IServiceProvider, ShardHostOptions> options)
    {
        services.AddSingleton(options);
        services.AddSingleton(provider => new SiloFabric(
            provider.GetRequiredService<ClusterOptions>(),
            provider.GetRequiredService<ILocalSiloDetails>(),
            provider.GetRequiredService<TimeProvider>(),
            provider.GetRequiredService<ILogger<SiloFabric>>(),
            provider.GetService<FabricSecurity>()));
        services.AddHostedService(provider => provider.GetRequiredService<SiloFabric>());
        services.AddSingleton(CreateShards);
        services.AddSingleton<ILocalShards>(provider => provider.GetRequiredService<ShardSet>());
        services.AddSingleton<SiloReporter>();
        services.AddHostedService(provider => provider.GetRequiredService<SiloReporter>());
        services.AddSingleton(provider => new ShardDeparture(
            provider.GetRequiredService<ShardSet>(), provider.GetRequiredService<ClusterOptions>(), provider.GetRequiredService<IGrainFactory>(), provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<ShardDeparture>>()));
        services.AddSingleton(provider => new ShardStatus(provider.GetRequiredService<ShardSet>(), provider.GetRequiredService<SiloReporter>()));
        return services;
    }

    private static ShardSet CreateShards(IServiceProvider services)
    {
        ShardHostOptions options = services.GetRequiredService<ShardHostOptions>();
        ClusterOptions cluster = services.GetRequiredService<ClusterOptions>();
        TimeProvider time = services.GetRequiredService<TimeProvider>();
        SiloFabric fabric = services.GetRequiredService<SiloFabric>();

        // Ticks tell this life from every other one of the silo; the slot is added so that no two shards share one.
        long incarnation = time.GetUtcNow().UtcTicks;
        ShardSet shards = new();
        int slot = 0;
        Queue<IExpertDevice> devices = new(options.CreateDevices());
        bool isOne = devices.Count == 1;
        try
        {
            for (; devices.TryPeek(out IExpertDevice? device); devices.Dequeue())
            {
                ShardId id = new(cluster.ClusterId, cluster.SiloName, slot);
                PlannedShard identity = new(id, incarnation + slot, device.Description.Kind, options.Format, fabric.Endpoint, fabric.Endpoint is null ? null : fabric.SiloAddress);
                if (TryStart(identity, device) is not { } shard)
                    continue;
                shards.Add(shard);
                slot++;
            }

            fabric.Serve(shards);
            return shards;
        }
        catch
        {
            shards.Dispose();
            foreach (IExpertDevice device in devices)
                device.Dispose();
            throw;
        }

        // A device may fail between its making and its first buffers.
        ExpertShard? TryStart(PlannedShard identity, IExpertDevice device)
        {
            try
            {
                return new ExpertShard(identity, options.Grid, device, options.Source, time, options.SharesThreads && device.UsesHostThreads && isOne);
            }
            catch (Exception exception)
            {
                if (!options.LeavesOut(device, exception))
                    throw;
                device.Dispose();
                return null;
            }
        }
    }
}
