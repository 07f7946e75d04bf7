using K2Cluster.Checkpoint;
using K2Cluster.Tests;

namespace K2Cluster.Cli.Tests;

public sealed class SynthTests
{
    [Fact]
    public async Task A_checkpoint_of_the_asked_shape_is_written_and_inspected()
    {
        using TemporaryDirectory directory = new();

        (int code, string output, string error) = await ToolRun.RunAsync("synth", directory.Path, "--shape", "tiny", "--layers", "4", "--dense-layers", "2", "--hidden", "96", "--query-rank", "0", "--expert-format", "bf16", "--context", "2048");

        Assert.Equal((0, ""), (code, error));
        Assert.Contains("5 weight files", output);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        Assert.Equal((4, 2, 96), (model.Config.LayerCount, model.Config.FirstDenseLayers, model.Config.HiddenSize));
        Assert.Equal((null, null, null), (model.Config.QueryLoraRank, model.Config.Quantization, model.Config.RopeScaling));
        CheckpointSizes.Measure(model);
    }

    [Fact]
    public async Task A_tokenizer_that_fits_is_copied_with_its_end_token()
    {
        using TemporaryDirectory directory = new();

        (int code, _, string error) = await ToolRun.RunAsync("synth", directory.Path, "--shape", "tiny", "--vocabulary", "2048", "--tokenizer", Repository.Path("models", "k2-nano"));

        Assert.Equal((0, ""), (code, error));
        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        Assert.True(model.HasTokenizer);
        Assert.Equal([1794], model.Generation.EndTokens);
    }

    [Fact]
    public async Task A_checkpoint_may_be_replaced_and_keep_its_tokenizer()
    {
        using TemporaryDirectory directory = TemporaryDirectory.CopyOf(Repository.Path("models", "k2-nano"));
        string[] args = ["synth", directory.Path, "--shape", "tiny", "--vocabulary", "2048", "--tokenizer", directory.Path];

        (int refused, _, string error) = await ToolRun.RunAsync(args);
        (int code, _, _) = await ToolRun.RunAsync([.. args, "--force"]);

        Assert.Equal(1, refused);
        Assert.Contains("--force", error);
        Assert.Equal(0, code);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        Assert.True(model.HasTokenizer);
        Assert.Equal(64, model.Config.HiddenSize);
    }

    [Theory]
    [InlineData(1, "has 2,048 tokens", "--shape", "tiny", "--tokenizer", "k2-nano")]
    [InlineData(1, "no tokenizer", "--shape", "tiny", "--tokenizer", ".")]
    [InlineData(1, "hidden_size is 65", "--shape", "tiny", "--hidden", "65")]
    [InlineData(1, "num_experts_per_tok is 9", "--shape", "tiny", "--experts-per-token", "9")]
    [InlineData(1, "free", "--shape", "tiny", "--layers", "1024", "--dense-layers", "1024", "--hidden", "4096", "--intermediate", "262144")]
    [InlineData(2, "known shapes are tiny, bench-4b", "--shape", "huge")]
    [InlineData(2, "--layers 0", "--shape", "tiny", "--layers", "0")]
    [InlineData(2, "--hidden 99999999", "--shape", "tiny", "--hidden", "99999999")]
    [InlineData(2, "--heads", "--shape", "tiny", "--heads", "many")]
    [InlineData(2, "--seed", "--shape", "tiny", "--seed", "1e9")]
    [InlineData(2, "fp8", "--shape", "tiny", "--expert-format", "fp8")]
    public async Task What_cannot_be_written_is_said_and_nothing_is_left(int expected, string mention, params string[] options)
    {
        using TemporaryDirectory directory = new();
        string target = Path.Combine(directory.Path, "model");
        string[] paths = [.. options.Select(option => option == "k2-nano" ? Repository.Path("models", "k2-nano") : option == "." ? directory.Path : option)];

        (int code, _, string error) = await ToolRun.RunAsync(["synth", target, .. paths]);

        Assert.Equal(expected, code);
        Assert.Contains(mention, error);
        Assert.False(Directory.Exists(target));
    }
}
