using System.Buffers.Binary;
using System.Text.Json.Nodes;
using static K2Cluster.Tests.Spoil;

namespace K2Cluster.Tests;

/// <summary>All the ways a checkpoint is broken in our tests: more than 200, in the order of reading.</summary>
internal static class BrokenCheckpoints
{
    private const string Config = "config.json";
    private const string Generation = "generation_config.json";
    private const string Index = "model.safetensors.index.json";
    private const string First = "model-00001-of-00002.safetensors";
    private const string Second = "model-00002-of-00002.safetensors";
    private const string Norm = "model.layers.0.input_layernorm.weight";
    private const string QueryA = "model.layers.0.self_attn.q_a_proj.weight";
    private const string Gate = "model.layers.1.mlp.gate.weight";
    private const string Bias = "model.layers.1.mlp.gate.e_score_correction_bias";
    private const string Packed = "model.layers.1.mlp.experts.0.gate_proj.weight_packed";
    private const string Scale = "model.layers.1.mlp.experts.0.gate_proj.weight_scale";
    private const string StatedShape = "model.layers.1.mlp.experts.0.down_proj.weight_shape";

    public static IReadOnlyList<BrokenCheckpoint> All { get; } = [.. OfConfiguration(), .. OfGeneration(), .. OfIndex(), .. OfShards(), .. OfTensors()];

    private static IEnumerable<BrokenCheckpoint> OfConfiguration()
    {
        yield return new("config.json is missing", [Config], Delete(Config));
        yield return new("config.json is empty", [Config, "empty"], Replace(Config, ""));
        yield return new("config.json is a directory", [Config, "directory"], MakeDirectory(Config));
        yield return new("config.json ends in the middle", [Config, "JSON"], Truncate(Config, 1000));
        yield return new("config.json is a list", [Config, "list"], Replace(Config, "[1, 2, 3]"));
        yield return new("config.json is 100,000 levels deep", [Config], Replace(Config, string.Concat(Enumerable.Repeat("{\"a\":", 100_000))));
        yield return new("config.json is 8 MB long", [Config], Replace(Config, "{" + new string(' ', 8_000_000) + "}"));
        yield return new("config.json is not UTF-8", [Config, "UTF-8"], directory => File.WriteAllBytes(Path.Combine(directory, Config), [(byte)'{', (byte)'"', 0xC3, 0x28, (byte)'"', (byte)':', (byte)'1', (byte)'}']));
        yield return new("a key is there twice", [Config, "hidden_size"], Edit(Config, text => text.Replace("\"hidden_size\": 128", "\"hidden_size\": 128, \"hidden_size\": 64")));
        yield return new("a key is half a surrogate", [Config, "text"], Edit(Config, text => text.Replace("\"ep_size\"", "\"\\ud800\"")));
        yield return new("a value is NaN", [Config], Edit(Config, text => text.Replace("1e-05", "NaN")));

        foreach ((string key, string[] values) in new (string, string[])[]
        {
            ("hidden_size", ["0", "-128", "128.5", "\"128\"", "true", "null", "[128]", "2147483647", "1e30", "99999999999999999999", "100", "\"\\ud800\""]),
            ("num_hidden_layers", ["0", "-1", "2000000000"]),
            ("first_k_dense_replace", ["-1", "5"]),
            ("n_routed_experts", ["0", "1000000000"]),
            ("num_experts_per_tok", ["0", "17", "-4"]),
            ("moe_intermediate_size", ["65536000", "48"]),
            ("vocab_size", ["0", "4194304000"]),
            ("qk_rope_head_dim", ["15", "0"]),
            ("num_key_value_heads", ["2"]),
            ("n_group", ["3", "0", "16"]),
            ("topk_group", ["2"]),
            ("rms_norm_eps", ["-1e-5", "0", "\"NaN\"", "1e999"]),
            ("rope_theta", ["-50000", "1e999", "\"Infinity\""]),
            ("routed_scaling_factor", ["-2.8", "1e999"]),
            ("norm_topk_prob", ["1", "\"true\""]),
            ("model_type", ["\"llama\"", "5"]),
            ("scoring_func", ["\"softmax\""]),
            ("topk_method", ["\"greedy\""]),
            ("hidden_act", ["\"gelu\""]),
            ("attention_bias", ["true"]),
            ("rope_scaling", ["\"yarn\"", "[]"]),
            ("rope_scaling.type", ["\"linear\"", "\"dynamic\""]),
            ("rope_scaling.beta_fast", ["-1", "1e999"]),
            ("rope_scaling.factor", ["0", "-64"]),
            ("rope_scaling.original_max_position_embeddings", ["0"]),
            ("quantization_config.quant_method", ["\"fp8\""]),
            ("quantization_config.format", ["\"float-quantized\""]),
            ("quantization_config.config_groups", ["{}", "{\"a\":{},\"b\":{}}"]),
            ("quantization_config.config_groups.group_0.targets", ["[\"re:.*\"]", "[5]", "[\"\\ud800\"]"]),
            ("quantization_config.config_groups.group_0.weights.group_size", ["128", "-1"]),
            ("quantization_config.config_groups.group_0.weights.num_bits", ["8"]),
            ("quantization_config.config_groups.group_0.weights.symmetric", ["false"]),
            ("quantization_config.config_groups.group_0.weights.strategy", ["\"channel\""]),
            ("quantization_config.config_groups.group_0.weights.actorder", ["\"weight\""]),
            ("quantization_config.ignore", ["[\"re:(\"]", "[\"lm_head\"]", "{}"]),
        })
        {
            foreach (string value in values)
                yield return new($"{key} is {value}", [Config, key[(key.LastIndexOf('.') + 1)..]], Set(Config, key, value));
        }

        yield return new("there are fewer experts than the router has rows", [First, Gate], Set(Config, "n_routed_experts", "15"));
        yield return new("an ignored pattern would be tried in more ways than can be counted", [Config, "quantization_config.ignore", "does not name"], Set(Config, "quantization_config.ignore", "[\"re:(([a-z0-9._])+)+!\"]"));
        yield return new("beta_fast is less than beta_slow", [Config, "rope_scaling.beta_slow"], Set(Config, "rope_scaling.beta_fast", "0.5"));
        yield return new("the original context is longer than the context", [Config, "max_position_embeddings"], Set(Config, "rope_scaling.original_max_position_embeddings", "100000"));
        foreach (string key in new[] { "hidden_size", "n_group", "norm_topk_prob", "rms_norm_eps", "tie_word_embeddings", "rope_theta", "rope_scaling.beta_fast", "rope_scaling.mscale_all_dim", "quantization_config.ignore" })
            yield return new($"{key} is missing", [Config, key], Remove(Config, key));
    }

    private static IEnumerable<BrokenCheckpoint> OfGeneration()
    {
        yield return new("generation_config.json is empty", [Generation, "empty"], Replace(Generation, ""));
        yield return new("generation_config.json is text", [Generation], Replace(Generation, "hello"));
        foreach (string value in new[] { "-1", "1024", "[]", "[770, \"x\"]", "\"770\"", "1e99" })
            yield return new($"eos_token_id is {value}", [Generation, "eos_token_id"], Set(Generation, "eos_token_id", value));
        yield return new("temperature is negative", [Generation, "temperature"], Set(Generation, "temperature", "-1"));
    }

    private static IEnumerable<BrokenCheckpoint> OfIndex()
    {
        yield return new("the index is missing", [Index], Delete(Index));
        yield return new("the index is empty", [Index, "empty"], Replace(Index, ""));
        yield return new("the index is a directory", [Index, "directory"], MakeDirectory(Index));
        yield return new("the index ends in the middle", [Index], Truncate(Index, 20_000));
        yield return new("the index has no weight_map", [Index, "weight_map"], Replace(Index, "{\"metadata\":{}}"));
        yield return new("weight_map is a list", [Index, "weight_map"], Replace(Index, "{\"weight_map\":[]}"));
        yield return new("the index is deep", [Index], Replace(Index, "{\"metadata\":" + new string('[', 100_000)));
        yield return new("the index names half a surrogate", [Index], Replace(Index, "{\"weight_map\":{\"\\ud800\":\"a\"}}"));
        foreach (string path in new[] { "../escaped.safetensors", "/etc/passwd", "..", "", "sub/model.safetensors", "C:\\\\model.safetensors", "a\\u0000b" })
            yield return new($"the index puts a tensor into '{path}'", [Index, QueryA], Edit(Index, text => text.Replace($"\"{QueryA}\": \"{First}\"", $"\"{QueryA}\": \"{path}\"")));
        yield return new("the index gives a tensor a number", [Index, QueryA], Edit(Index, text => text.Replace($"\"{QueryA}\": \"{First}\"", $"\"{QueryA}\": 1")));
        yield return new("the index lists a tensor twice", [Index, QueryA], Edit(Index, text => text.Replace($"\"{QueryA}\": \"{First}\"", $"\"{QueryA}\": \"{First}\", \"{QueryA}\": \"{First}\"")));
        yield return new("the index lists a tensor in the wrong file", [Second, QueryA], Edit(Index, text => text.Replace($"\"{QueryA}\": \"{First}\"", $"\"{QueryA}\": \"{Second}\"")));
        yield return new("the index names a file that is not there", ["absent.safetensors"], Edit(Index, text => text.Replace($"\"{QueryA}\": \"{First}\"", $"\"{QueryA}\": \"absent.safetensors\"")));
        foreach (string tensor in new[] { QueryA, Norm, Gate, Packed, StatedShape, "lm_head.weight" })
            yield return new($"the index does not list {tensor}", [Index, tensor], Edit(Index, text => text.Replace($"\"{tensor}\"", $"\"{tensor}.other\"")));
    }

    private static IEnumerable<BrokenCheckpoint> OfShards()
    {
        yield return new("a shard is missing", [Second], Delete(Second));
        yield return new("a shard is empty", [Second, "empty"], Replace(Second, ""));
        yield return new("a shard is a directory", [Second, "directory"], MakeDirectory(Second));
        yield return new("a shard is a dangling link", [Second], LinkTo(Second, "blobs/absent"));
        yield return new("a shard is a link to itself", [Second], LinkTo(Second, Second));
        yield return new("a shard is an endless device", [Second], LinkTo(Second, "/dev/zero"));
        yield return new("a shard is text", [Second], Replace(Second, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 887432\n"));
        yield return new("a shard has 7 bytes", [Second], Truncate(Second, 7));
        yield return new("a shard ends inside its header", [Second], Truncate(Second, 5_000));
        yield return new("a shard ends right after its header", [Second], Truncate(Second, 8 + 29_640));
        yield return new("a shard misses its last byte", [Second, "truncated"], Truncate(Second, 887_431));
        yield return new("a shard has a byte too many", [Second, "lm_head.weight"], directory => File.AppendAllBytes(Path.Combine(directory, Second), [0]));
        foreach (ulong length in new ulong[] { 0, 1, 29_639, 29_641, 900_000, 100_000_001, uint.MaxValue, long.MaxValue, ulong.MaxValue })
            yield return new($"a shard's header length is {length}", [Second], SetHeaderLength(Second, length));
        yield return new("a shard's header is deep", [Second], EditHeaderText(Second, _ => "{\"a\":" + new string('[', 100_000)));
        yield return new("a shard's header is a list", [Second], EditHeaderText(Second, _ => "[]"));
        yield return new("a shard's header is followed by another", [Second], EditHeaderText(Second, text => text + "{}"));
        yield return new("a shard's header has a tensor twice", [First, Norm, "twice"], EditHeaderText(First, text => text.Replace("\"model.layers.0.post_attention_layernorm.weight\"", $"\"{Norm}\"")));
        yield return new("a tensor's description has a key twice", [First, Norm], EditHeaderText(First, text => text.Replace($"\"{Norm}\":{{", $"\"{Norm}\":{{\"dtype\":\"F32\",")));
        yield return new("a tensor's description is a number", [First, "extra"], EditHeaderText(First, text => text.Insert(1, "\"extra\":5,")));
        yield return new("a tensor's name spans lines", [First], EditHeaderText(First, text => text.Insert(1, "\"a\\nb\\u001b[31m\":5,")));
        yield return new("a tensor's name is half a surrogate", [First], EditHeaderText(First, text => text.Insert(1, "\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},")));
        yield return new("metadata never ends", [First], EditHeaderText(First, _ => "{\"__metadata__\":{\"format\":\"pt\""));
    }

    private static IEnumerable<BrokenCheckpoint> OfTensors()
    {
        foreach (string key in new[] { "dtype", "shape", "data_offsets" })
            yield return new($"a tensor has no {key}", [First, Norm], EditHeader(First, header => header[Norm]!.AsObject().Remove(key)));
        foreach (string offsets in new[] { "[586240]", "[585984,586240,0]", "[586240,585984]", "[-256,0]", "[585984,1e99]", "[585984,99999999999999999999]", "[9223372036854775551,9223372036854775807]", "[0,256]", "[585986,586242]", "[585984,586238]", "\"585984,586240\"", "[\"585984\",\"586240\"]" })
            yield return new($"a tensor's data_offsets are {offsets}", [First, "layers.0."], SetInHeader(First, Norm, "data_offsets", offsets));
        foreach (string shape in new[] { "[64]", "[129]", "[]", "[-128]", "[128.5]", "[\"128\"]", "128", "null", "[4611686018427387904,8]", "[9223372036854775807,9223372036854775807]", "[1,1,1,1,1,1,1,1,128]", "[1,128]", "[[128]]" })
            yield return new($"a norm's shape is {shape}", [First, Norm], SetInHeader(First, Norm, "shape", shape));
        foreach (string type in new[] { "\"F32\"", "\"F16\"", "\"I16\"", "\"F99\"", "\"bf16\"", "16", "null" })
            yield return new($"a norm's dtype is {type}", [First, Norm], SetInHeader(First, Norm, "dtype", type));
        yield return new("a matrix is transposed", [First, QueryA, "[128, 64]"], SetInHeader(First, QueryA, "shape", "[128,64]"));
        yield return new("the router is transposed", [First, Gate], SetInHeader(First, Gate, "shape", "[128,16]"));
        yield return new("the router's bias is I32", [First, Bias], SetInHeader(First, Bias, "dtype", "\"I32\""));
        yield return new("the head is F16", [Second, "lm_head.weight"], SetInHeader(Second, "lm_head.weight", "dtype", "\"F16\""));
        yield return new("packed weights are F32", [First, Packed], SetInHeader(First, Packed, "dtype", "\"F32\""));
        yield return new("packed weights have another shape", [First, Packed], SetInHeader(First, Packed, "shape", "[128,8]"));
        yield return new("scales are F16", [First, Scale], SetInHeader(First, Scale, "dtype", "\"F16\""));
        yield return new("scales are of larger groups", [First, Scale], SetInHeader(First, Scale, "shape", "[128,2]"));
        yield return new("weight_shape is BF16", [First, StatedShape], EditHeader(First, header =>
        {
            header[StatedShape]!["dtype"] = "BF16";
            header[StatedShape]!["shape"] = new JsonArray(4);
        }));
        yield return new("weight_shape disagrees", [First, StatedShape, "[64, 128]"], EditData(First, StatedShape, data =>
        {
            BinaryPrimitives.WriteInt32LittleEndian(data, 64);
            BinaryPrimitives.WriteInt32LittleEndian(data[4..], 128);
        }));
        yield return new("weight_shape is negative", [First, StatedShape], EditData(First, StatedShape, data => data.Fill(0xFF)));
    }
}
