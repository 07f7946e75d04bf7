using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using K2Cluster.Tests;

namespace K2Cluster.Checkpoint.Tests;

/// <summary>A checkpoint with Kimi K2 Thinking's own shapes: 594 GB of holes, with real headers.</summary>
public sealed class FullSizeTests
{
    private const int Hidden = 7168;
    private const int Layers = 61;
    private const int Experts = 384;
    private const int MoeIntermediate = 2048;
    private const int QueryRank = 1536;
    private const int KvRank = 512;
    private const int Vocabulary = 163840;

    [Fact]
    [Trait("Category", "Slow")]
    public void Kimi_K2_opens_in_seconds_and_its_sizes_are_the_published_ones()
    {
        using TemporaryDirectory directory = new();
        WriteConfig(directory.Path);
        WriteWeights(directory.Path);
        long started = Stopwatch.GetTimestamp();

        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        TimeSpan opened = Stopwatch.GetElapsedTime(started);
        long trunk = model.Catalog.CheckTrunk(model.Tensors, 0, Layers);
        TimeSpan everyHeader = Stopwatch.GetElapsedTime(started);

        Assert.True(opened < TimeSpan.FromSeconds(30), $"opening took {opened}");
        Assert.True(everyHeader < TimeSpan.FromSeconds(60), $"all headers took {everyHeader}");
        // 11,722,208,768 parameters outside the routed experts, two bytes each, but the router's biases, which take four.
        Assert.Equal((11_722_208_768 * 2) + (60 * Experts * 2), trunk);
        Assert.Equal(70_272, model.Config.KvBytesPerToken);
        Assert.Equal(62, model.WeightFiles.Count);
        // Holes read as zeros: all is right with the expert until the shape that it states.
        CheckpointException failure = Assert.Throws<CheckpointException>(() => model.Catalog.CheckExpert(model.Tensors, 60, 383));
        Assert.Contains("model.layers.60.mlp.experts.383.gate_proj.weight_shape states [0, 0]", failure.Message);
    }

    private static void WriteConfig(string directory)
    {
        JsonObject config = CheckpointShape.K2Thinking.ToConfig();
        foreach ((string key, int value) in new[]
        {
            ("hidden_size", Hidden), ("num_hidden_layers", Layers), ("n_routed_experts", Experts), ("num_experts_per_tok", 8),
            ("moe_intermediate_size", MoeIntermediate), ("intermediate_size", 18432), ("q_lora_rank", QueryRank), ("kv_lora_rank", KvRank),
            ("qk_nope_head_dim", 128), ("qk_rope_head_dim", 64), ("v_head_dim", 128), ("num_attention_heads", 64),
            ("num_key_value_heads", 64), ("vocab_size", Vocabulary), ("max_position_embeddings", 262144), ("eos_token_id", 163586),
        })
            config[key] = value;
        File.WriteAllText(Path.Combine(directory, "config.json"), config.ToJsonString());
    }

    private static void WriteWeights(string directory)
    {
        JsonObject weightMap = [];
        for (int part = 0; part <= Layers; part++)
        {
            string name = $"model-{part + 1:D5}-of-{Layers + 1:D6}.safetensors";
            JsonObject header = [];
            long length = 0;
            foreach ((string tensor, string type, long[] shape) in part < Layers ? LayerTensors(part) : Ends())
            {
                long begin = length;
                length += shape.Aggregate(1L, (product, size) => product * size) * (type == "BF16" ? 2 : 4);
                header[tensor] = new JsonObject { ["dtype"] = type, ["shape"] = new JsonArray([.. shape.Select(size => (JsonNode)size)]), ["data_offsets"] = new JsonArray(begin, length) };
                weightMap[tensor] = name;
            }

            byte[] json = Encoding.UTF8.GetBytes(header.ToJsonString());
            using FileStream file = File.Create(Path.Combine(directory, name));
            file.Write(BitConverter.GetBytes((long)json.Length));
            file.Write(json);
            file.SetLength(8 + json.Length + length);
        }

        File.WriteAllText(Path.Combine(directory, "model.safetensors.index.json"), new JsonObject { ["weight_map"] = weightMap }.ToJsonString());
    }

    private static IEnumerable<(string Name, string Type, long[] Shape)> Ends() =>
    [
        ("model.embed_tokens.weight", "BF16", [Vocabulary, Hidden]),
        ("lm_head.weight", "BF16", [Vocabulary, Hidden]),
        ("model.norm.weight", "BF16", [Hidden]),
    ];

    private static IEnumerable<(string Name, string Type, long[] Shape)> LayerTensors(int layer)
    {
        string at = $"model.layers.{layer}.";
        yield return (at + "input_layernorm.weight", "BF16", [Hidden]);
        yield return (at + "post_attention_layernorm.weight", "BF16", [Hidden]);
        yield return (at + "self_attn.q_a_proj.weight", "BF16", [QueryRank, Hidden]);
        yield return (at + "self_attn.q_a_layernorm.weight", "BF16", [QueryRank]);
        yield return (at + "self_attn.q_b_proj.weight", "BF16", [12288, QueryRank]);
        yield return (at + "self_attn.kv_a_proj_with_mqa.weight", "BF16", [576, Hidden]);
        yield return (at + "self_attn.kv_a_layernorm.weight", "BF16", [KvRank]);
        yield return (at + "self_attn.kv_b_proj.weight", "BF16", [16384, KvRank]);
        yield return (at + "self_attn.o_proj.weight", "BF16", [Hidden, 8192]);
        yield return (at + "self_attn.rotary_emb.inv_freq", "F32", [32]);
        string dense = layer == 0 ? "mlp." : "mlp.shared_experts.";
        long width = layer == 0 ? 18432 : MoeIntermediate;
        yield return (at + dense + "gate_proj.weight", "BF16", [width, Hidden]);
        yield return (at + dense + "up_proj.weight", "BF16", [width, Hidden]);
        yield return (at + dense + "down_proj.weight", "BF16", [Hidden, width]);
        if (layer == 0)
            yield break;

        yield return (at + "mlp.gate.weight", "BF16", [Experts, Hidden]);
        yield return (at + "mlp.gate.e_score_correction_bias", "F32", [Experts]);
        for (int expert = 0; expert < Experts; expert++)
        {
            foreach ((string projection, long output, long input) in new[] { ("gate_proj", MoeIntermediate, Hidden), ("up_proj", MoeIntermediate, Hidden), ("down_proj", Hidden, MoeIntermediate) })
            {
                string module = $"{at}mlp.experts.{expert}.{projection}.";
                yield return (module + "weight_packed", "I32", [output, input / 8]);
                yield return (module + "weight_scale", "BF16", [output, input / 32]);
                yield return (module + "weight_shape", "I32", [2]);
            }
        }
    }
}
