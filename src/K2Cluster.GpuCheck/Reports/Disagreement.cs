namespace K2Cluster.GpuCheck.Reports;

/// <summary>A kernel that did something else than it should.</summary>
/// <param name="Target">Of the PTX: "sm_90".</param>
/// <param name="Kernel">Its name.</param>
/// <param name="Where">Shape, weights, rows and launch.</param>
/// <param name="What">What was expected, and what came.</param>
public sealed record Disagreement(string Target, string Kernel, string Where, string What);
