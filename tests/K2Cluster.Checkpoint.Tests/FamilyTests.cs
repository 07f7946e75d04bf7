using System.Text.Json.Nodes;
using K2Cluster.Tests;

namespace K2Cluster.Checkpoint.Tests;

public sealed class FamilyTests
{
    public static TheoryData<string> Families => ["K2Thinking", "K25", "Moonlight"];

    [Theory]
    [MemberData(nameof(Families))]
    public void A_checkpoint_of_each_family_opens_and_checks_in_many_files_and_in_one(string family)
    {
        foreach (bool singleFile in new[] { false, true })
        {
            using TemporaryDirectory directory = Write(ShapeOf(family), singleFile);
            using ModelDirectory model = ModelDirectory.Open(directory.Path);

            Checkpoints.CheckAll(model);

            Assert.Equal(singleFile ? 1 : 4, model.WeightFiles.Count);
            Assert.Equal([254], model.Generation.EndTokens);
            Assert.Null(model.Generation.MaxLength);
            Assert.False(model.HasTokenizer);
        }
    }

    [Fact]
    public void K25_has_its_values_under_text_config_and_its_tensors_under_a_prefix()
    {
        using TemporaryDirectory directory = Write(CheckpointShape.K25);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Assert.Equal("language_model.model.embed_tokens.weight", model.Catalog.Embedding);
        Assert.Equal("language_model.lm_head.weight", model.Catalog.Head);
        Assert.Equal("language_model.model.layers.1.mlp.experts.3.up_proj.weight_packed", model.Catalog.Expert(1, 3, "up_proj", "weight_packed"));
        Assert.Equal(32, model.Config.RopeScaling!.BetaFast);
        Assert.True(model.Catalog.IsExpertQuantized(1, 0));
        Assert.Equal(TensorType.Other, model.Tensors.Tensors.Single(tensor => tensor.Name.StartsWith("vision_tower", StringComparison.Ordinal)).Type);
    }

    [Fact]
    public void Moonlight_has_one_query_matrix_and_BF16_experts_of_any_width()
    {
        using TemporaryDirectory directory = Write(CheckpointShape.Moonlight);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Assert.Null(model.Config.QueryLoraRank);
        Assert.Null(model.Config.RopeScaling);
        Assert.Null(model.Config.Quantization);
        Assert.Equal(2, model.Config.SharedExperts);
        Assert.False(model.Catalog.IsExpertQuantized(1, 0));
        Assert.True(model.Tensors.TryGet(model.Catalog.Layer(1, "self_attn.q_proj.weight"), out _));
    }

    [Fact]
    public void A_null_query_rank_and_a_missing_one_are_the_same()
    {
        using TemporaryDirectory directory = Write(CheckpointShape.Moonlight);
        EditConfig(directory, config => Assert.True(config.Remove("q_lora_rank")));

        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Assert.Null(model.Config.QueryLoraRank);
    }

    [Fact]
    public void Exporters_that_write_I64_shapes_and_BF16_biases_are_read()
    {
        using TemporaryDirectory directory = Write(CheckpointShape.K2Thinking with { ShapeType = "I64", BiasType = "BF16" });
        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Checkpoints.CheckAll(model);
    }

    [Fact]
    public void Experts_that_the_quantization_ignores_are_BF16()
    {
        using TemporaryDirectory directory = Write(CheckpointShape.K2Thinking);
        EditConfig(directory, config => config["quantization_config"]!["ignore"]!.AsArray().Add("re:.*layers\\.1\\.mlp\\.experts.*"));
        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Assert.False(model.Catalog.IsExpertQuantized(1, 0));
        Assert.True(model.Catalog.IsExpertQuantized(2, 0));
        CheckpointException failure = Assert.Throws<CheckpointException>(() => model.Catalog.CheckExpert(model.Tensors, 1, 0));
        Assert.Contains("model.layers.1.mlp.experts.0.gate_proj.weight is missing", failure.Message);
    }

    [Fact]
    public void A_head_that_is_tied_is_the_embedding()
    {
        using TemporaryDirectory directory = Write(CheckpointShape.K2Thinking);
        using ModelDirectory untied = ModelDirectory.Open(directory.Path);
        long bytes = untied.Catalog.CheckTrunk(untied.Tensors, 0, 3);
        long lastLayer = untied.Catalog.CheckTrunk(untied.Tensors, 2, 3);
        EditConfig(directory, config => config["tie_word_embeddings"] = true);

        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Assert.Equal(model.Catalog.Embedding, model.Catalog.Head);
        Assert.Equal(bytes - (256 * 64 * 2), model.Catalog.CheckTrunk(model.Tensors, 0, 3));
        Assert.Equal(lastLayer, model.Catalog.CheckTrunk(model.Tensors, 2, 3));
    }

    [Fact]
    public void An_expert_that_is_half_INT4_is_refused()
    {
        using TemporaryDirectory directory = Write(CheckpointShape.K2Thinking);
        EditConfig(directory, config => config["quantization_config"]!["ignore"]!.AsArray().Add("model.layers.1.mlp.experts.0.up_proj"));
        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Assert.Contains("as a whole", Assert.Throws<CheckpointException>(() => model.Catalog.IsExpertQuantized(1, 0)).Message);
        Assert.True(model.Catalog.IsExpertQuantized(1, 1));
    }

    [Theory]
    [InlineData("[254, 7]", new[] { 254, 7 })]
    [InlineData("7", new[] { 7 })]
    public void End_tokens_of_the_generation_config_go_before_the_models(string value, int[] expected)
    {
        using TemporaryDirectory directory = Write(CheckpointShape.K25);
        File.WriteAllText(Path.Combine(directory.Path, "generation_config.json"), $$"""{"eos_token_id": {{value}}, "temperature": null, "top_p": 0.95}""");

        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Assert.Equal(expected, model.Generation.EndTokens);
        Assert.Null(model.Generation.Temperature);
        Assert.Equal(0.95, model.Generation.TopP);
    }

    [Theory]
    [InlineData("top_p", "0")]
    [InlineData("top_p", "1e-60")]
    [InlineData("top_p", "1.5")]
    [InlineData("temperature", "2.5")]
    [InlineData("temperature", "-1")]
    public void A_default_that_no_request_could_ask_for_is_refused(string key, string value)
    {
        using TemporaryDirectory directory = Write(CheckpointShape.K25);
        File.WriteAllText(Path.Combine(directory.Path, "generation_config.json"), $$"""{"eos_token_id": 7, "{{key}}": {{value}}}""");

        string message = Assert.Throws<CheckpointException>(() => ModelDirectory.Open(directory.Path)).Message;
        Assert.Contains("generation_config.json", message);
        Assert.Contains($"{key} is {value}", message);
    }

    [Theory]
    [InlineData("lm_head", false)]
    [InlineData("model.layers.7.self_attn.q_a_proj", false)]
    [InlineData("model.layers.7.mlp.shared_experts.up_proj", false)]
    [InlineData("model.layers.0.mlp.down_proj", false)]
    [InlineData("model.layers.7.mlp.experts.12.down_proj", true)]
    [InlineData("model.lm_head", true)]
    public void The_published_ignore_list_leaves_only_routed_experts(string module, bool quantized)
    {
        QuantizationConfig quantization = new("config.json", ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", @"re:.*mlp\.(gate|up|gate_up|down)_proj.*"]);

        Assert.Equal(quantized, quantization.Quantizes(module));
    }

    [Fact]
    public void A_pattern_matches_from_a_names_start_and_not_inside_it()
    {
        QuantizationConfig quantization = new("config.json", ["re:experts"]);

        Assert.True(quantization.Quantizes("model.experts"));
        Assert.False(quantization.Quantizes("experts.0"));
    }

    /// <summary>An engine that goes back would try each way to share the name out between the two loops.</summary>
    [Fact]
    public void A_pattern_with_countless_ways_to_fail_needs_no_clock()
    {
        QuantizationConfig quantization = new("config.json", ["re:(([a-z0-9._])+)+!"], patience: TimeSpan.FromMilliseconds(1));

        Assert.True(quantization.Quantizes("model.layers.7.mlp.shared_experts.up_proj"));
    }

    [Theory]
    [InlineData(@"re:(?!.*\.experts\.).*")]
    [InlineData(@"re:model\.(\w)ayers.*(?<!experts\.\d+)\.(gate|up|down)_proj")]
    public void Patterns_may_look_around(string pattern)
    {
        QuantizationConfig quantization = new("config.json", [pattern]);

        Assert.False(quantization.Quantizes("model.layers.7.mlp.up_proj"));
        Assert.True(quantization.Quantizes("model.layers.7.mlp.experts.3.up_proj"));
    }

    [Fact]
    public void One_that_looks_around_for_ever_is_refused_by_its_text()
    {
        QuantizationConfig quantization = new("config.json", ["re:(?=(([a-z0-9._])+)+!)"], patience: TimeSpan.FromMilliseconds(1));

        string message = Assert.Throws<CheckpointException>(() => quantization.Quantizes("model.layers.7.mlp.shared_experts.up_proj")).Message;

        Assert.Contains("config.json: a pattern of quantization_config.ignore took longer than 0.001 s on model.layers.7", message);
        Assert.Contains("(?=((", message);
    }

    private static CheckpointShape ShapeOf(string family) => family switch
    {
        "K2Thinking" => CheckpointShape.K2Thinking,
        "K25" => CheckpointShape.K25,
        _ => CheckpointShape.Moonlight,
    };

    private static TemporaryDirectory Write(CheckpointShape shape, bool singleFile = false)
    {
        TemporaryDirectory directory = new();
        CheckpointWriter.Write(directory.Path, shape, singleFile: singleFile);
        return directory;
    }

    private static void EditConfig(TemporaryDirectory directory, Action<JsonObject> edit)
    {
        string path = Path.Combine(directory.Path, "config.json");
        JsonObject config = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        edit(config);
        File.WriteAllText(path, config.ToJsonString());
    }
}
