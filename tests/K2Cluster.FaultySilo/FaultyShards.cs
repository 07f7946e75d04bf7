using K2Cluster.Grains.Shards;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace K2Cluster.FaultySilo;

/// <summary>Puts faulty devices and a throttled source in place of a silo's own.</summary>
internal static class FaultyShards
{
    public static void MakeFaulty(this IServiceCollection services, FaultSettings settings)
    {
        if (settings.Folder is not null)
            services.AddSingleton<IOutgoingGrainCallFilter>(new CorruptedFabric(settings));
        ServiceDescriptor sound = services.Last(service => service.ServiceType == typeof(ShardHostOptions));
        services.Replace(ServiceDescriptor.Singleton(provider =>
        {
            ShardHostOptions options = (ShardHostOptions)sound.ImplementationFactory!(provider);
            return options with
            {
                CreateDevices = () => [.. options.CreateDevices().Select(device => new FaultyDevice(device, settings))],
                Source = settings.LoadBytesPerSecond > 0 ? new ThrottledSource(options.Source, settings.LoadBytesPerSecond) : options.Source,
            };
        }));
    }
}
