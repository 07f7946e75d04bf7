using System.Text.Json.Nodes;

namespace K2Cluster.Checkpoint.Synthetic;

/// <summary>
/// The shape of a model to be made up: all that <c>config.json</c> leaves open within the family. What is not given here is
/// as in K2 Thinking.
/// </summary>
public sealed record SyntheticShape
{
    private const int OriginalPositions = 4096;

    /// <summary>The shapes known by name, smallest first.</summary>
    public static IReadOnlyDictionary<string, SyntheticShape> Presets { get; } = new OrderedDictionary<string, SyntheticShape>
    {
        ["tiny"] = new()
        {
            Hidden = 64,
            Layers = 3,
            Intermediate = 96,
            Experts = 8,
            ExpertsPerToken = 2,
            ExpertIntermediate = 32,
            Heads = 4,
            QueryRank = 32,
            KvRank = 32,
            NopeDim = 16,
            RopeDim = 8,
            ValueDim = 16,
            Vocabulary = 512,
        },
        // 4 B parameters: fits a laptop, and no cache.
        ["bench-4b"] = new()
        {
            Hidden = 2048,
            Layers = 12,
            Intermediate = 6144,
            Experts = 64,
            ExpertIntermediate = 768,
            Heads = 16,
            QueryRank = 768,
            Vocabulary = 32768,
            Context = 32768,
            RoutedScalingFactor = 2.5,
        },
        ["moonlight"] = new()
        {
            Hidden = 2048,
            Layers = 27,
            Intermediate = 11264,
            Experts = 64,
            ExpertsPerToken = 6,
            ExpertIntermediate = 1408,
            SharedExperts = 2,
            Heads = 16,
            QueryRank = null,
            Context = 8192,
            OriginalContext = 8192,
            RoutedScalingFactor = 2.446,
            Int4Experts = false,
        },
        ["k2"] = new(),
    };

    public int Hidden { get; init; } = 7168;

    public int Layers { get; init; } = 61;

    /// <summary>Layers from the first that have a dense MLP instead of experts.</summary>
    public int DenseLayers { get; init; } = 1;

    /// <summary>Width of the dense MLP.</summary>
    public int Intermediate { get; init; } = 18432;

    public int Experts { get; init; } = 384;

    public int ExpertsPerToken { get; init; } = 8;

    /// <summary>Width of a routed expert.</summary>
    public int ExpertIntermediate { get; init; } = 2048;

    public int SharedExperts { get; init; } = 1;

    public int Heads { get; init; } = 64;

    /// <summary>Null for one query matrix, as Moonlight has it.</summary>
    public int? QueryRank { get; init; } = 1536;

    public int KvRank { get; init; } = 512;

    public int NopeDim { get; init; } = 128;

    public int RopeDim { get; init; } = 64;

    public int ValueDim { get; init; } = 128;

    public int Vocabulary { get; init; } = 163840;

    /// <summary>Positions, in tokens; beyond <see cref="OriginalContext"/> by YaRN.</summary>
    public int Context { get; init; } = 262144;

    /// <summary>Positions without YaRN.</summary>
    public int OriginalContext { get; init; } = OriginalPositions;

    public double RoutedScalingFactor { get; init; } = 2.827;

    /// <summary>INT4 experts, as K2 Thinking has them; else BF16.</summary>
    public bool Int4Experts { get; init; } = true;

    /// <summary>The id that ends an answer; null for the place that it has in K2's vocabulary, third of the last 256.</summary>
    public int? EndToken { get; init; }

    /// <summary>The content of <c>config.json</c>.</summary>
    internal JsonObject ToConfig()
    {
        JsonObject config = new()
        {
            ["architectures"] = new JsonArray("DeepseekV3ForCausalLM"),
            ["attention_bias"] = false,
            ["attention_dropout"] = 0.0,
            ["aux_loss_alpha"] = 0.001,
            ["bos_token_id"] = Math.Max(0, EndTokenOrDefault - 2),
            ["dtype"] = "bfloat16",
            ["eos_token_id"] = EndTokenOrDefault,
            ["ep_size"] = 1,
            ["first_k_dense_replace"] = DenseLayers,
            ["hidden_act"] = "silu",
            ["hidden_size"] = Hidden,
            ["initializer_range"] = 0.02,
            ["intermediate_size"] = Intermediate,
            ["kv_lora_rank"] = KvRank,
            ["max_position_embeddings"] = Context,
            ["model_type"] = Int4Experts ? "kimi_k2" : "deepseek_v3",
            ["moe_intermediate_size"] = ExpertIntermediate,
            ["moe_layer_freq"] = 1,
            ["n_group"] = 1,
            ["n_routed_experts"] = Experts,
            ["n_shared_experts"] = SharedExperts,
            ["norm_topk_prob"] = true,
            ["num_attention_heads"] = Heads,
            ["num_experts_per_tok"] = ExpertsPerToken,
            ["num_hidden_layers"] = Layers,
            ["num_key_value_heads"] = Heads,
            ["num_nextn_predict_layers"] = 0,
            ["pad_token_id"] = Vocabulary - 1,
            ["pretraining_tp"] = 1,
            ["q_lora_rank"] = QueryRank,
            ["qk_nope_head_dim"] = NopeDim,
            ["qk_rope_head_dim"] = RopeDim,
            ["rms_norm_eps"] = 1e-5,
            ["rope_scaling"] = ScalingConfig(),
            ["rope_theta"] = 50000.0,
            ["routed_scaling_factor"] = RoutedScalingFactor,
            ["scoring_func"] = "sigmoid",
            ["seq_aux"] = true,
            ["tie_word_embeddings"] = false,
            ["topk_group"] = 1,
            ["topk_method"] = "noaux_tc",
            ["use_cache"] = true,
            ["v_head_dim"] = ValueDim,
            ["vocab_size"] = Vocabulary,
        };
        if (Int4Experts)
            config["quantization_config"] = QuantizationConfig();
        return config;
    }

    /// <summary>The content of <c>generation_config.json</c>.</summary>
    internal JsonObject ToGenerationConfig() => new() { ["eos_token_id"] = EndTokenOrDefault, ["max_length"] = Context };

    private int EndTokenOrDefault => EndToken ?? Math.Max(Vocabulary - 254, 0);

    private JsonObject? ScalingConfig() => Context <= OriginalContext ? null : new JsonObject
    {
        ["beta_fast"] = 1.0,
        ["beta_slow"] = 1.0,
        ["factor"] = (double)Context / OriginalContext,
        ["mscale"] = 1.0,
        ["mscale_all_dim"] = 1.0,
        ["original_max_position_embeddings"] = OriginalContext,
        ["type"] = "yarn",
    };

    private static JsonObject QuantizationConfig() => new()
    {
        ["config_groups"] = new JsonObject
        {
            ["group_0"] = new JsonObject
            {
                ["input_activations"] = null,
                ["output_activations"] = null,
                ["targets"] = new JsonArray("Linear"),
                ["weights"] = new JsonObject
                {
                    ["actorder"] = null,
                    ["block_structure"] = null,
                    ["dynamic"] = false,
                    ["group_size"] = Checkpoint.QuantizationConfig.GroupSize,
                    ["num_bits"] = 4,
                    ["observer"] = "minmax",
                    ["observer_kwargs"] = new JsonObject(),
                    ["strategy"] = "group",
                    ["symmetric"] = true,
                    ["type"] = "int",
                },
            },
        },
        ["format"] = "pack-quantized",
        ["ignore"] = new JsonArray("lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", @"re:.*mlp\.(gate|up|gate_up|down)_proj.*"),
        ["kv_cache_scheme"] = null,
        ["quant_method"] = "compressed-tensors",
        ["quantization_status"] = "compressed",
    };
}
