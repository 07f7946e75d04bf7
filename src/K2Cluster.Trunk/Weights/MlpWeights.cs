using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Trunk.Weights;

/// <summary>down(SiLU(gate x) × up x): a dense layer's MLP, or the shared experts as one.</summary>
/// <param name="GateUp">[2 × width, hidden]: the gate's rows, then those of up.</param>
/// <param name="Down">[hidden, width].</param>
internal sealed record MlpWeights(Bf16Matrix GateUp, Bf16Matrix Down);
