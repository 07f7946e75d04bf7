namespace K2Cluster.Kernels.Compute;

/// <summary>CPUs and the memory that is near them.</summary>
/// <param name="Id">As the system numbers it.</param>
/// <param name="Cpus">Those that this process may use, rising.</param>
/// <param name="MemoryBytes">Of the node.</param>
public sealed record NumaNode(int Id, IReadOnlyList<int> Cpus, long MemoryBytes);
