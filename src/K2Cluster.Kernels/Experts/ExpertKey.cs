namespace K2Cluster.Kernels.Experts;

/// <summary>One expert of one layer. Ids from <c>n_routed_experts</c> up are kept for shared experts.</summary>
public readonly record struct ExpertKey(int Layer, int Expert);
