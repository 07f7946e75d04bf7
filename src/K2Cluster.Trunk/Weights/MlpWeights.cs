using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Trunk.Weights;

/// <summary>down(SiLU(gate x) × up x): a dense layer's MLP, or the shared experts as one.</summary>
/// <param name="Gate">[width, hidden].</param>
/// <param name="Up">[width, hidden].</param>
/// <param name="Down">[hidden, width].</param>
internal sealed record MlpWeights(Bf16Matrix Gate, Bf16Matrix Up, Bf16Matrix Down);
