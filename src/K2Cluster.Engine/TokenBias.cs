namespace K2Cluster.Engine;

/// <summary>A number added to one token's logit: -100 all but forbids it, 100 all but forces it.</summary>
public readonly record struct TokenBias(int Token, float Bias);
