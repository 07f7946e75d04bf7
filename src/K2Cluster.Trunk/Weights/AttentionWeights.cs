using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Trunk.Weights;

/// <summary>Multi-head latent attention of one layer, kv_b taken apart for the absorbed form.</summary>
internal sealed class AttentionWeights
{
    /// <summary>[query rank, hidden], or null where queries come from one matrix.</summary>
    public required Bf16Matrix? QueryDown { get; init; }

    /// <summary>[query rank].</summary>
    public required float[]? QueryNorm { get; init; }

    /// <summary>[heads × (nope + rope), query rank or hidden].</summary>
    public required Bf16Matrix Query { get; init; }

    /// <summary>[latent + rope, hidden].</summary>
    public required Bf16Matrix KvDown { get; init; }

    /// <summary>[latent].</summary>
    public required float[] KvNorm { get; init; }

    /// <summary>For each head [latent, nope]: takes a query to where keys are latents.</summary>
    public required Bf16Matrix[] KeyUp { get; init; }

    /// <summary>For each head [value, latent].</summary>
    public required Bf16Matrix[] ValueUp { get; init; }

    /// <summary>[hidden, heads × value].</summary>
    public required Bf16Matrix Output { get; init; }
}
