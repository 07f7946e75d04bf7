using System.Text.Json.Nodes;

namespace K2Cluster.Tests;

/// <summary>A tiny model of a family, for <see cref="CheckpointWriter"/>. Names follow config.json.</summary>
internal sealed record CheckpointShape
{
    public string Prefix { get; init; } = "";

    public int Hidden { get; init; } = 64;

    public int Layers { get; init; } = 3;

    public int FirstDense { get; init; } = 1;

    /// <summary>Of the layers after the dense ones, those divisible by this have experts.</summary>
    public int MoeFrequency { get; init; } = 1;

    public int Experts { get; init; } = 8;

    public int ExpertsPerToken { get; init; } = 2;

    public int SharedExperts { get; init; } = 1;

    public int MoeIntermediate { get; init; } = 32;

    public int Intermediate { get; init; } = 96;

    public int? QueryLoraRank { get; init; } = 32;

    public int KvLoraRank { get; init; } = 32;

    public int Nope { get; init; } = 16;

    public int Rope { get; init; } = 8;

    public int Value { get; init; } = 16;

    public int Heads { get; init; } = 4;

    public int Groups { get; init; } = 1;

    public int TopKGroups { get; init; } = 1;

    public int Vocabulary { get; init; } = 256;

    public double RoutedScalingFactor { get; init; } = 2.827;

    /// <summary>INT4 experts and a quantization_config; else BF16 experts and none.</summary>
    public bool Int4 { get; init; } = true;

    /// <summary>YaRN's beta_fast; null for no rope_scaling.</summary>
    public double? BetaFast { get; init; } = 1;

    /// <summary>What weight_shape is written as.</summary>
    public string ShapeType { get; init; } = "I32";

    /// <summary>What e_score_correction_bias is written as: F32 or BF16.</summary>
    public string BiasType { get; init; } = "F32";

    public static CheckpointShape K2Thinking { get; } = new();

    /// <summary>The text model under text_config, its tensors under language_model., a vision tower beside it.</summary>
    public static CheckpointShape K25 { get; } = new() { Prefix = "language_model.", BetaFast = 32 };

    /// <summary>q_proj, BF16 experts, two shared experts, no rope_scaling.</summary>
    public static CheckpointShape Moonlight { get; } = new()
    {
        QueryLoraRank = null,
        SharedExperts = 2,
        MoeIntermediate = 44,
        RoutedScalingFactor = 2.446,
        Int4 = false,
        BetaFast = null,
    };

    /// <summary>The content of config.json.</summary>
    public JsonObject ToConfig()
    {
        JsonObject text = new()
        {
            ["architectures"] = new JsonArray("DeepseekV3ForCausalLM"),
            ["attention_bias"] = false,
            ["bos_token_id"] = Vocabulary - 3,
            ["eos_token_id"] = Vocabulary - 2,
            ["first_k_dense_replace"] = FirstDense,
            ["hidden_act"] = "silu",
            ["hidden_size"] = Hidden,
            ["intermediate_size"] = Intermediate,
            ["kv_lora_rank"] = KvLoraRank,
            ["max_position_embeddings"] = 4096,
            ["model_type"] = Int4 ? "kimi_k2" : "deepseek_v3",
            ["moe_intermediate_size"] = MoeIntermediate,
            ["moe_layer_freq"] = MoeFrequency,
            ["n_group"] = Groups,
            ["n_routed_experts"] = Experts,
            ["n_shared_experts"] = SharedExperts,
            ["norm_topk_prob"] = true,
            ["num_attention_heads"] = Heads,
            ["num_experts_per_tok"] = ExpertsPerToken,
            ["num_hidden_layers"] = Layers,
            ["num_key_value_heads"] = Heads,
            ["q_lora_rank"] = QueryLoraRank,
            ["qk_nope_head_dim"] = Nope,
            ["qk_rope_head_dim"] = Rope,
            ["rms_norm_eps"] = 1e-5,
            ["rope_theta"] = 50000.0,
            ["routed_scaling_factor"] = RoutedScalingFactor,
            ["scoring_func"] = "sigmoid",
            ["tie_word_embeddings"] = false,
            ["topk_group"] = TopKGroups,
            ["topk_method"] = "noaux_tc",
            ["v_head_dim"] = Value,
            ["vocab_size"] = Vocabulary,
        };
        if (BetaFast is double betaFast)
        {
            text["rope_scaling"] = JsonNode.Parse("""
                {"beta_slow":1.0,"factor":64.0,"mscale":1.0,"mscale_all_dim":1.0,"original_max_position_embeddings":64,"type":"yarn"}
                """);
            text["rope_scaling"]!["beta_fast"] = betaFast;
        }

        if (Int4)
        {
            text["quantization_config"] = JsonNode.Parse("""
                {"config_groups":{"group_0":{"input_activations":null,"output_activations":null,"targets":["Linear"],
                  "weights":{"actorder":null,"block_structure":null,"dynamic":false,"group_size":32,"num_bits":4,"observer":"minmax",
                             "observer_kwargs":{},"strategy":"group","symmetric":true,"type":"int"}}},
                 "format":"pack-quantized",
                 "ignore":["lm_head","re:.*self_attn.*","re:.*shared_experts.*","re:.*mlp\\.(gate|up|gate_up|down)_proj.*"],
                 "kv_cache_scheme":null,"quant_method":"compressed-tensors","quantization_status":"compressed"}
                """);
        }

        return Prefix.Length == 0 ? text : new JsonObject { ["model_type"] = "kimi_k25", ["text_config"] = text };
    }
}
