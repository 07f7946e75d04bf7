using K2Cluster.Faults.Hosts;
using K2Cluster.Faults.Runs;
using K2Cluster.Tests;

namespace K2Cluster.Faults.Scenarios;

/// <summary>A cluster and what happens to it.</summary>
/// <param name="Name">On the command line.</param>
/// <param name="NeedsNetwork">Whether it takes network namespaces.</param>
/// <param name="NeedsRedis">Whether it takes a Redis.</param>
/// <param name="RunAsync">Starts the cluster, disturbs it, measures.</param>
internal sealed record Scenario(string Name, bool NeedsNetwork, bool NeedsRedis, Func<RunOptions, Reference, Task<FaultRow>> RunAsync)
{
    /// <summary>What this machine lacks for it; null when nothing.</summary>
    public string? Lacks =>
        NeedsNetwork && !Network.IsPossible() ? "root and iproute2"
        : NeedsRedis && ServerFactAttribute.Find("redis-server") is null ? "redis-server"
        : null;

    public static IReadOnlyList<Scenario> All { get; } =
    [
        .. SiloFaults.All,
        .. DeviceFaults.All,
        .. StoreFaults.All,
        .. GatewayFaults.All,
    ];
}
