namespace K2Cluster.Trunk.Weights;

/// <summary>One layer of the trunk.</summary>
internal sealed class LayerWeights
{
    /// <summary>[hidden].</summary>
    public required float[] InputNorm { get; init; }

    public required AttentionWeights Attention { get; init; }

    /// <summary>[hidden]: post_attention_layernorm.</summary>
    public required float[] MlpNorm { get; init; }

    /// <summary>The dense MLP, or in a layer with routed experts the shared ones.</summary>
    public required MlpWeights Mlp { get; init; }

    /// <summary>Null in a dense layer.</summary>
    public required RouterWeights? Router { get; init; }
}
