namespace K2Cluster.Checkpoint;

/// <summary>
/// The architecture that <c>config.json</c> states: a DeepSeek-V3 model as Kimi K2, K2.5 (text part) and Moonlight are.
/// Every value is the file's; ranges are checked when it is read, so that no shape computed from it overflows and no
/// matrix has more elements than an array can hold.
/// </summary>
public sealed record ModelConfig
{
    /// <summary><c>model_type</c> of the language model: <c>kimi_k2</c> or <c>deepseek_v3</c>.</summary>
    public required string ModelType { get; init; }

    /// <summary>What precedes every tensor name: empty, or <c>language_model.</c> where the text model is part of a larger one.</summary>
    public required string TensorPrefix { get; init; }

    public required int HiddenSize { get; init; }

    /// <summary><c>num_hidden_layers</c>.</summary>
    public required int LayerCount { get; init; }

    /// <summary><c>first_k_dense_replace</c>: layers before this one have a dense MLP.</summary>
    public required int FirstDenseLayers { get; init; }

    /// <summary><c>moe_layer_freq</c>: of the layers after the dense ones, those divisible by this have experts.</summary>
    public required int MoeLayerFrequency { get; init; }

    /// <summary><c>n_routed_experts</c>.</summary>
    public required int RoutedExperts { get; init; }

    /// <summary><c>num_experts_per_tok</c>.</summary>
    public required int ExpertsPerToken { get; init; }

    /// <summary><c>n_shared_experts</c>: one MLP of this many times <see cref="MoeIntermediateSize"/>.</summary>
    public required int SharedExperts { get; init; }

    public required int MoeIntermediateSize { get; init; }

    /// <summary>Width of the dense MLP.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary><c>q_lora_rank</c>; null where queries come from one matrix, <c>q_proj</c> (Moonlight).</summary>
    public required int? QueryLoraRank { get; init; }

    public required int KvLoraRank { get; init; }

    public required int QkNopeHeadDim { get; init; }

    public required int QkRopeHeadDim { get; init; }

    public required int ValueHeadDim { get; init; }

    /// <summary><c>num_attention_heads</c>.</summary>
    public required int HeadCount { get; init; }

    public required double RopeTheta { get; init; }

    /// <summary>YaRN, or null for plain rotary positions.</summary>
    public required RopeScaling? RopeScaling { get; init; }

    /// <summary><c>max_position_embeddings</c>, in tokens.</summary>
    public required int MaxPositions { get; init; }

    public required double RmsNormEpsilon { get; init; }

    public required int VocabularySize { get; init; }

    /// <summary><c>n_group</c>: the router's groups of experts.</summary>
    public required int Groups { get; init; }

    /// <summary><c>topk_group</c>: the groups that a token may choose from.</summary>
    public required int TopKGroups { get; init; }

    /// <summary><c>norm_topk_prob</c>.</summary>
    public required bool NormaliseTopK { get; init; }

    public required double RoutedScalingFactor { get; init; }

    /// <summary><c>tie_word_embeddings</c>: the head is the embedding.</summary>
    public required bool TieEmbeddings { get; init; }

    /// <summary>How the experts are quantised; null where all weights are BF16.</summary>
    public required QuantizationConfig? Quantization { get; init; }

    /// <summary>Elements of a query or key of one head.</summary>
    public int QkHeadDim => QkNopeHeadDim + QkRopeHeadDim;

    /// <summary>Bytes of KV cache that a token takes in all layers: the latent and the roped key, in BF16.</summary>
    public long KvBytesPerToken => (long)LayerCount * (KvLoraRank + QkRopeHeadDim) * sizeof(ushort);

    /// <summary>Whether the layer has routed experts (else a dense MLP).</summary>
    public bool IsMoeLayer(int layer) => layer >= FirstDenseLayers && layer % MoeLayerFrequency == 0;
}
