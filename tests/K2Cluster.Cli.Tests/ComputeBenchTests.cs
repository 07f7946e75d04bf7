using System.Text.Json.Nodes;
using K2Cluster.Kernels.Experts;
using K2Cluster.Tests;

namespace K2Cluster.Cli.Tests;

public sealed class ComputeBenchTests
{
    [Fact]
    public async Task The_model_bench_reports_every_length_and_batch_with_what_it_depends_on()
    {
        using TemporaryDirectory directory = new();
        string json = Path.Combine(directory.Path, "result.json");

        // A model that fits the cache may be faster than memory, which the bench then says by code 1.
        (int code, string output, string error) = await ToolRun.RunAsync(
            "bench", "model", "--model", Repository.Path("models", "k2-nano"), "--threads", "2", "--prefill", "5,70", "--chunk", "32", "--batch", "1,3", "--context", "65", "--steps", "3", "--rounds", "2", "--json", json);

        Assert.True(code == 0 || error.StartsWith("VOID", StringComparison.Ordinal), error);
        Assert.Contains("prefill of 70", output);
        Assert.Contains("decode, batch 3", output);
        JsonNode result = JsonNode.Parse(File.ReadAllText(json))!;
        Assert.Equal(code != 0, (bool)result["is_void"]!);
        Assert.Equal(2, (int)result["options"]!["threads"]!);
        Assert.Equal(2, result["prefill"]![0]!["tokens_per_second"]!["all"]!.AsArray().Count);
        Assert.True((double)result["read_ceiling_gb_per_second"]! > 0);
        Assert.NotEmpty((string)result["machine"]!["processor"]!);
        Assert.NotEmpty((string)result["machine"]!["version"]!);
        double[] bytes = [.. result["decode"]!.AsArray().Select(decode => (double)decode!["megabytes_per_token"]!)];
        Assert.True(bytes[1] < bytes[0], "Sequences that decode together share a reading of the weights.");
    }

    [Fact]
    public async Task The_fabric_bench_reports_every_way_beside_the_echo_of_its_kind()
    {
        using TemporaryDirectory directory = new();
        string json = Path.Combine(directory.Path, "result.json");
        (int code, string output, string error) = await ToolRun.RunAsync("bench", "fabric", "--bytes", "3000", "--calls", "20", "--rounds", "2", "--json", json);

        Assert.True(code == 0, error);
        Assert.Contains("fabric with TLS, a thread waits", output);
        JsonArray ways = JsonNode.Parse(File.ReadAllText(json))!["ways"]!.AsArray();
        Assert.Equal([1, 0, 0, 1, 0, 0], ways.Select(way => (double)way!["ratio_to_echo"]! == 1 ? 1 : 0));
        Assert.All(ways, way => Assert.True((double)way!["microseconds"]!["p50"]! > 0));
    }

    [Fact]
    public async Task The_kernel_bench_reports_experts_and_matrices_by_rows()
    {
        using TemporaryDirectory directory = new();
        string json = Path.Combine(directory.Path, "result.json");

        (int code, string output, string error) = await ToolRun.RunAsync(
            "bench", "kernels", "--shape", "tiny", "--threads", "2", "--rows", "1,5", "--rounds", "2", "--megabytes", "2", "--cpu-activations", "int8", "--json", json);

        Assert.True(code == 0 || error.StartsWith("VOID", StringComparison.Ordinal), error);
        Assert.Contains("INT4 experts, 2 of 64 × 32", output);
        Assert.Contains("BF16 64 × 64", output);
        JsonNode report = JsonNode.Parse(File.ReadAllText(json))!;
        Assert.Equal("int8", (string?)report["options"]!["cpu_activations"]);
        JsonArray kernels = report["kernels"]!.AsArray();
        Assert.Equal([1, 5, 1, 5], kernels.Select(kernel => (int)kernel!["rows"]!));
        Assert.All(kernels, kernel => Assert.True((double)kernel!["gb_per_second"]!["median"]! > 0));
    }

    [Theory]
    [InlineData(2, "--batch 1,0", "bench", "model", "--batch", "1,0")]
    [InlineData(2, "--prefill many", "bench", "model", "--prefill", "many")]
    [InlineData(2, "--threads", "bench", "model", "--threads", "0")]
    [InlineData(2, "--rows", "bench", "kernels", "--rows", "1,,2")]
    [InlineData(2, "--megabytes", "bench", "kernels", "--megabytes", "0")]
    [InlineData(2, "'int16'", "bench", "model", "--cpu-activations", "int4")]
    [InlineData(1, "no such directory", "bench", "model", "--model", "/nonexistent")]
    [InlineData(1, "bytes of memory", "bench", "kernels", "--megabytes", "1000000")]
    [InlineData(1, "hidden_size", "bench", "kernels", "--shape", "tiny", "--hidden", "65", "--megabytes", "1")]
    public async Task What_cannot_be_measured_is_said(int expected, string mention, params string[] args)
    {
        (int code, _, string error) = await ToolRun.RunAsync(args);

        Assert.Equal(expected, code);
        Assert.Contains(mention, error);
    }

    [Theory]
    [InlineData("model", "--model", "/nonexistent")]
    [InlineData("kernels", "--megabytes", "1000000")]
    [InlineData("serve", "--url", "http://127.0.0.1:1")]
    public async Task A_result_that_cannot_be_written_is_said_before_anything_is_measured(string bench, string option, string refusedLater)
    {
        using TemporaryDirectory directory = new();
        string missing = Path.Combine(directory.Path, "none", "result.json");
        string kept = Path.Combine(directory.Path, "kept.json");
        string fresh = Path.Combine(directory.Path, "fresh.json");
        File.WriteAllText(kept, "an earlier result");

        (int code, _, string error) = await ToolRun.RunAsync("bench", bench, option, refusedLater, "--json", missing);
        Assert.Equal(1, code);
        Assert.StartsWith($"{missing}: cannot be written", error);

        foreach (string file in new[] { kept, fresh })
        {
            (_, _, string later) = await ToolRun.RunAsync("bench", bench, option, refusedLater, "--json", file);
            Assert.DoesNotContain("cannot be written", later);
        }

        Assert.Equal("an earlier result", File.ReadAllText(kept));
        Assert.False(File.Exists(fresh));
    }

    [Fact]
    public async Task More_sequences_than_memory_has_room_for_are_said()
    {
        using TemporaryDirectory directory = new();
        await ToolRun.RunAsync("synth", directory.Path, "--shape", "tiny", "--layers", "64", "--dense-layers", "64", "--kv-rank", "2048");

        (int code, _, string error) = await ToolRun.RunAsync("bench", "model", "--model", directory.Path, "--context", "250000", "--batch", "4096");

        Assert.Equal(1, code);
        Assert.Contains("--batch", error);
    }

    [Fact]
    public async Task A_context_beyond_the_models_positions_is_said()
    {
        (int code, _, string error) = await ToolRun.RunAsync("bench", "model", "--model", Repository.Path("models", "k2-nano"), "--context", "1000000");

        Assert.Equal(1, code);
        Assert.Contains("positions", error);
    }

    [Theory]
    [InlineData(new double[] { 7 }, 7, 7, 7)]
    [InlineData(new double[] { 5, 1, 3 }, 3, 1, 5)]
    [InlineData(new double[] { 4, 1, 2, 8 }, 3, 1, 8)]
    public void The_middle_round_counts(double[] values, double median, double min, double max)
    {
        Rounds rounds = Rounds.Of(values);

        Assert.Equal((median, min, max), (rounds.Median, rounds.Min, rounds.Max));
        Assert.Equal(values, rounds.All);
    }

    [Fact]
    public void An_expert_that_several_rows_ask_for_is_read_once_a_batch()
    {
        CountingExperts experts = new(new NoExperts(), 8);
        ExpertBatch batch = new(maxRows: 3, hiddenSize: 4, expertsPerToken: 2);
        batch.Reset(layer: 1, rows: 3);
        new[] { 1, 2, 2, 7, 1, 7 }.CopyTo(batch.ExpertIds);

        experts.Submit(batch);
        experts.Submit(batch);

        Assert.Equal(6, experts.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Counting_does_not_change_how_the_trunk_cuts_its_steps(bool computesOnCollect) =>
        Assert.Equal(computesOnCollect, new CountingExperts(new NoExperts { ComputesOnCollect = computesOnCollect }, 8).ComputesOnCollect);

    private sealed class NoExperts : IExperts
    {
        public int MaxInFlight => 2;

        public bool ComputesOnCollect { get; init; }

        public ExpertTicket Submit(ExpertBatch batch) => new(batch, 1);

        public void Collect(ExpertTicket ticket)
        {
        }
    }
}
