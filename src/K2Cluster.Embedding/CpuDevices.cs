using K2Cluster.Checkpoint;
using K2Cluster.Hosting;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Devices.Cpu;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Embedding;

/// <summary>
/// The CPU as devices: one, or where a host has several NUMA nodes one for each, with threads on its CPUs, weights in its
/// memory, and its share of threads and budget. Results do not depend on how many there are.
/// </summary>
internal static partial class CpuDevices
{
    /// <param name="model">Whose experts.</param>
    /// <param name="options">What the operator chose.</param>
    /// <param name="shared">The process's threads, for a device that is the only one.</param>
    /// <param name="log">Told of the nodes, and of a list of them that cannot be used.</param>
    public static IReadOnlyList<IExpertDevice> Create(ModelDirectory model, K2Options options, CpuCompute shared, ILogger log)
    {
        NumaTopology topology = options.NumaDirectory is { } directory ? NumaTopology.Read(directory, CpuAffinity.Allowed()) : new NumaTopology([], null);
        if (topology.Problem is { } problem)
            LogUnusable(log, problem);
        if (options.CpuActivations == CpuActivations.Bits8)
            LogInt8(model, log);
        if (topology.Nodes.Count < 2)
            return [new CpuExpertDevice(model.Config, model.Catalog, options.Memory, shared, activations: options.CpuActivations)];

        int cpus = topology.Nodes.Sum(node => node.Cpus.Count);
        double memory = topology.Nodes.Sum(node => (double)node.MemoryBytes);
        List<IExpertDevice> devices = [];
        foreach (NumaNode node in topology.Nodes)
        {
            int threads = Math.Max(1, (int)((long)options.Threads * node.Cpus.Count / cpus));
            long budget = (long)(options.Memory * (node.MemoryBytes / memory));
            LogNode(log, node.Id, node.Cpus.Count, threads, budget);
            CpuCompute compute = new(threads, CpuPaths.Best, node.Cpus);
            devices.Add(new CpuExpertDevice(model.Config, model.Catalog, budget, compute, $"cpu node {node.Id}", ownsCompute: true, options.CpuActivations));
        }

        return devices;
    }

    private static void LogInt8(ModelDirectory model, ILogger log)
    {
        int layer = Enumerable.Range(0, model.Config.LayerCount).FirstOrDefault(model.Config.IsMoeLayer, -1);
        if (layer >= 0 && model.Catalog.IsExpertQuantized(layer, 0))
            LogInt8(log);
        else
            LogNoInt4(log);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "INT4 experts are multiplied with INT8 activations: devices of the kind cpu-int8, less exact than the kind cpu.")]
    private static partial void LogInt8(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "--cpu-activations int8 has no effect: this model has no INT4 experts, and BF16 ones are multiplied with FP32.")]
    private static partial void LogNoInt4(ILogger logger);

    [LoggerMessage(Level = LogLevel.Information, Message = "NUMA node {Node} is a device: {Cpus} CPUs, {Threads} threads, {Budget} bytes for weights.")]
    private static partial void LogNode(ILogger logger, int node, int cpus, int threads, long budget);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The NUMA nodes of this machine cannot be told: {Problem} All its CPUs are one device.")]
    private static partial void LogUnusable(ILogger logger, string problem);
}
