using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Trunk.Weights;

/// <summary>Multi-head latent attention of one layer, kv_b taken apart for the absorbed form.</summary>
internal sealed class AttentionWeights
{
    /// <summary>
    /// [query rank + latent + rope, hidden], or where queries come from one matrix [heads × (nope + rope) + latent + rope,
    /// hidden]: all that a normed row is multiplied by, as one.
    /// </summary>
    public required Bf16Matrix Down { get; init; }

    /// <summary>[query rank], or null where queries come from one matrix.</summary>
    public required float[]? QueryNorm { get; init; }

    /// <summary>[heads × (nope + rope), query rank], or null.</summary>
    public required Bf16Matrix? QueryUp { get; init; }

    /// <summary>[latent].</summary>
    public required float[] KvNorm { get; init; }

    /// <summary>For each head [latent, nope]: takes a query to where keys are latents.</summary>
    public required Bf16Matrix[] KeyUp { get; init; }

    /// <summary>For each head [value, latent].</summary>
    public required Bf16Matrix[] ValueUp { get; init; }

    /// <summary>[hidden, heads × value].</summary>
    public required Bf16Matrix Output { get; init; }
}
