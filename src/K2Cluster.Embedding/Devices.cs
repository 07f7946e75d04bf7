using K2Cluster.Checkpoint;
using K2Cluster.Hosting;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Embedding;

/// <summary>This process's devices, each of which becomes a shard: the CPU's first, then GPUs in the order asked for.</summary>
internal static class Devices
{
    /// <param name="model">Whose experts.</param>
    /// <param name="options">What the operator chose.</param>
    /// <param name="shared">The process's threads.</param>
    /// <param name="log">Told what there is and what cannot be used.</param>
    /// <exception cref="K2FailureException">A GPU that was asked for by number cannot be used.</exception>
    public static IReadOnlyList<IExpertDevice> Create(ModelDirectory model, K2Options options, CpuCompute shared, ILogger log)
    {
        // GPUs first: what is wrong with one ends the start before the CPU's threads exist.
        IReadOnlyList<IExpertDevice> gpus = GpuDevices.Create(model, options, log);
        return options.Device.UsesCpu ? [.. CpuDevices.Create(model, options, shared, log), .. gpus] : gpus;
    }
}
