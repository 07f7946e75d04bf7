namespace K2Cluster.Cli;

/// <summary>What <c>k2 bench kernels</c> does.</summary>
/// <param name="Shape">Whose matrices.</param>
/// <param name="Threads">That compute.</param>
/// <param name="Rows">Numbers of rows that share a reading of the weights.</param>
/// <param name="Rounds">How often everything is measured, in turn.</param>
/// <param name="Megabytes">Of weights that each kernel goes round; 0 for what no cache holds.</param>
/// <param name="CpuActivations">"int16" or "int8".</param>
internal sealed record KernelBenchOptions(string Shape, int Threads, IReadOnlyList<int> Rows, int Rounds, int Megabytes, string CpuActivations);
