using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Trunk.Weights;

/// <summary>The router of one layer.</summary>
/// <param name="Gate">[experts, hidden].</param>
/// <param name="Bias">[experts]: added to a score where experts are chosen, not where they are weighed.</param>
internal sealed record RouterWeights(Bf16Matrix Gate, float[] Bias);
