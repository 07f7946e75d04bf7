namespace K2Cluster.Checkpoint;

/// <summary>Reads <c>config.json</c>: nothing defaulted that a published checkpoint states, all ranges checked.</summary>
internal static class ModelConfigReader
{
    public const int SizeLimit = 4 << 20;

    private const int MaxIgnoreEntries = 4096;

    public static ModelConfig Read(JsonSection root)
    {
        // K2.5 and later, Kimi-VL: the language model is one part of the file.
        JsonSection text = root.OptionalSection("text_config") ?? root;
        bool isPart = text != root;

        string modelType = text.Text("model_type");
        if (modelType is not ("kimi_k2" or "deepseek_v3"))
            throw text.Refused("model_type", "supported are kimi_k2 and deepseek_v3, at the top or under text_config");
        text.Supports("hidden_act", "silu", required: true);
        text.Supports("scoring_func", "sigmoid", required: true);
        text.Supports("topk_method", "noaux_tc", required: true);
        text.Supports("attention_bias", "false", required: false);

        ModelConfig config = new()
        {
            ModelType = modelType,
            TensorPrefix = isPart ? "language_model." : "",
            HiddenSize = text.Int("hidden_size", 1, 1 << 16),
            LayerCount = text.Int("num_hidden_layers", 1, 1024),
            FirstDenseLayers = text.Int("first_k_dense_replace", 0, 1024),
            MoeLayerFrequency = text.Int("moe_layer_freq", 1, 1024),
            RoutedExperts = text.Int("n_routed_experts", 1, 4096),
            ExpertsPerToken = text.Int("num_experts_per_tok", 1, 64),
            SharedExperts = text.Int("n_shared_experts", 1, 64),
            MoeIntermediateSize = text.Int("moe_intermediate_size", 1, 1 << 16),
            IntermediateSize = text.Int("intermediate_size", 1, 1 << 18),
            QueryLoraRank = text.OptionalInt("q_lora_rank", 1, 1 << 14),
            KvLoraRank = text.Int("kv_lora_rank", 1, 1 << 14),
            QkNopeHeadDim = text.Int("qk_nope_head_dim", 1, 1 << 12),
            QkRopeHeadDim = text.Int("qk_rope_head_dim", 2, 1 << 12),
            ValueHeadDim = text.Int("v_head_dim", 1, 1 << 12),
            HeadCount = text.Int("num_attention_heads", 1, 1 << 10),
            RopeTheta = text.Number("rope_theta", 1.001, 1e12),
            RopeScaling = text.OptionalSection("rope_scaling") is { } scaling ? ReadRopeScaling(scaling) : null,
            MaxPositions = text.Int("max_position_embeddings", 1, 1 << 24),
            RmsNormEpsilon = text.Number("rms_norm_eps", 1e-12, 0.1),
            VocabularySize = text.Int("vocab_size", 1, 1 << 22),
            Groups = text.Int("n_group", 1, 4096),
            TopKGroups = text.Int("topk_group", 1, 4096),
            NormaliseTopK = text.Flag("norm_topk_prob"),
            RoutedScalingFactor = text.Number("routed_scaling_factor", 1e-6, 1e6),
            TieEmbeddings = text.Flag("tie_word_embeddings"),
            Quantization = (text.OptionalSection("quantization_config") ?? root.OptionalSection("quantization_config")) is { } quantization
                ? ReadQuantization(quantization)
                : null,
        };
        CheckTogether(text, config);
        return config;
    }

    private static RopeScaling ReadRopeScaling(JsonSection scaling)
    {
        scaling.Supports(scaling.Has("rope_type") ? "rope_type" : "type", "yarn", required: true);
        RopeScaling yarn = new(
            scaling.Number("factor", 1, 1e6),
            scaling.Int("original_max_position_embeddings", 1, 1 << 24),
            scaling.Number("beta_fast", 1e-3, 1e6),
            scaling.Number("beta_slow", 1e-3, 1e6),
            scaling.Number("mscale", 0, 1e3),
            scaling.Number("mscale_all_dim", 0, 1e3));
        if (yarn.BetaSlow > yarn.BetaFast)
            throw scaling.Refused("beta_slow", $"it must not exceed beta_fast, {yarn.BetaFast}");
        return yarn;
    }

    private static QuantizationConfig ReadQuantization(JsonSection quantization)
    {
        quantization.Supports("quant_method", "compressed-tensors", required: true);
        quantization.Supports("format", "pack-quantized", required: true);
        quantization.Supports("quantization_status", "compressed", required: false);

        JsonSection group = quantization.Section("config_groups").OnlySection();
        if (group.Texts("targets", 64) is not ["Linear"])
            throw group.Refused("targets", "only [\"Linear\"] is supported");
        if (group.Has("input_activations"))
            throw group.Refused("input_activations", "quantised activations are not supported");

        JsonSection weights = group.Section("weights");
        weights.Supports("type", "int", required: true);
        weights.Supports("num_bits", "4", required: true);
        weights.Supports("strategy", "group", required: true);
        weights.Supports("group_size", "32", required: true);
        weights.Supports("symmetric", "true", required: true);
        weights.Supports("dynamic", "false", required: false);
        if (weights.Has("actorder"))
            throw weights.Refused("actorder", "weights reordered by activation are not supported");
        return new QuantizationConfig(quantization.File, quantization.Texts("ignore", MaxIgnoreEntries));
    }

    /// <summary>What no single value shows: divisions, and the size of each matrix.</summary>
    private static void CheckTogether(JsonSection text, ModelConfig config)
    {
        if (text.Has("num_key_value_heads") && text.Int("num_key_value_heads", 1, 1 << 10) != config.HeadCount)
            throw text.Refused("num_key_value_heads", $"latent attention has as many as num_attention_heads, {config.HeadCount}");
        if (config.FirstDenseLayers > config.LayerCount)
            throw text.Refused("first_k_dense_replace", $"there are {config.LayerCount} layers");
        if (config.QkRopeHeadDim % 2 != 0)
            throw text.Refused("qk_rope_head_dim", "rotary positions need an even number");
        if (config.RoutedExperts % config.Groups != 0)
            throw text.Refused("n_group", $"it must divide n_routed_experts, {config.RoutedExperts}");
        if (config.Groups > 1 && config.RoutedExperts / config.Groups < 2)
            throw text.Refused("n_group", "a group's score is the sum of its two best experts: each group needs two");
        if (config.TopKGroups > config.Groups)
            throw text.Refused("topk_group", $"there are {config.Groups} groups");
        if (config.ExpertsPerToken > config.RoutedExperts / config.Groups * config.TopKGroups)
            throw text.Refused("num_experts_per_tok", $"a token can choose from {config.RoutedExperts / config.Groups * config.TopKGroups} experts");
        if (config.RopeScaling is { } yarn && yarn.OriginalMaxPositions > config.MaxPositions)
            throw text.Refused("max_position_embeddings", $"it is less than rope_scaling.original_max_position_embeddings, {yarn.OriginalMaxPositions}");
        if (config.Quantization is not null)
        {
            CheckGroups(text, "hidden_size", config.HiddenSize);
            CheckGroups(text, "moe_intermediate_size", config.MoeIntermediateSize);
        }

        long heads = config.HeadCount;
        long queryInput = config.QueryLoraRank ?? config.HiddenSize;
        CheckMatrix(text, "vocab_size", config.VocabularySize, config.HiddenSize);
        CheckMatrix(text, "intermediate_size", config.IntermediateSize, config.HiddenSize);
        CheckMatrix(text, "n_shared_experts", (long)config.SharedExperts * config.MoeIntermediateSize, config.HiddenSize);
        CheckMatrix(text, "num_attention_heads", heads * config.QkHeadDim, queryInput);
        CheckMatrix(text, "num_attention_heads", heads * (config.QkNopeHeadDim + config.ValueHeadDim), config.KvLoraRank);
        CheckMatrix(text, "num_attention_heads", heads * config.ValueHeadDim, config.HiddenSize);
    }

    private static void CheckGroups(JsonSection text, string key, int value)
    {
        if (value % QuantizationConfig.GroupSize != 0)
            throw text.Refused(key, $"INT4 experts need a multiple of {QuantizationConfig.GroupSize}");
    }

    private static void CheckMatrix(JsonSection text, string key, long rows, long columns)
    {
        if (rows * columns > Array.MaxLength)
            throw text.Refused(key, $"a matrix of {rows:N0} by {columns:N0} is beyond what one array can hold");
    }
}
