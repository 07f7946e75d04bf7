using K2Cluster.Tests;

namespace K2Cluster.Cli.Tests;

public sealed class K2ToolTests
{
    [Fact]
    public async Task Inspect_says_what_a_checkpoint_is()
    {
        (int code, string output, string error) = await ToolRun.RunAsync("inspect", Repository.Path("models", "k2-nano"));

        Assert.Equal(0, code);
        Assert.Equal("", error);
        Assert.Contains("Kimi K2 (kimi_k2)", output);
        Assert.Contains("13.5 KiB (INT4)", output);
        Assert.Contains("800 bytes a token", output);
        Assert.Contains("tiktoken.model", output);
    }

    [Theory]
    [InlineData("K25", "Kimi K2.5 or later, text part", "INT4")]
    [InlineData("Moonlight", "Moonlight", "BF16")]
    public async Task Inspect_knows_the_families(string family, string expected, string format)
    {
        using TemporaryDirectory directory = new();
        CheckpointWriter.Write(directory.Path, family == "K25" ? CheckpointShape.K25 : CheckpointShape.Moonlight);

        (int code, string output, _) = await ToolRun.RunAsync("inspect", directory.Path);

        Assert.Equal(0, code);
        Assert.Contains(expected, output);
        Assert.Contains(format, output);
        Assert.Contains("serves token ids only", output);
    }

    [Fact]
    public async Task Inspect_of_a_broken_checkpoint_is_one_message_and_code_1()
    {
        foreach (BrokenCheckpoint broken in BrokenCheckpoints.All)
        {
            using TemporaryDirectory directory = broken.Create();

            (int code, string output, string error) = await ToolRun.RunAsync("inspect", directory.Path);

            Assert.Equal(1, code);
            Assert.Equal("", output);
            Assert.Single(error.TrimEnd('\n').Split('\n'));
            Assert.All(broken.Mentions, mention => Assert.Contains(mention, error));
        }
    }

    [Theory]
    [InlineData("DIR", "inspect")]
    [InlineData("nonsense", "nonsense")]
    [InlineData("--requests", "bench", "--requests", "0")]
    [InlineData("--requests", "bench", "--requests", "many")]
    [InlineData("--concurrency", "bench", "--concurrency", "100000")]
    [InlineData("--url", "bench", "--url", "127.0.0.1:8080")]
    [InlineData("--requests", "bench", "serve", "--prompts", "0")]
    [InlineData("--request-rate", "bench", "serve", "--request-rate", "-1")]
    [InlineData("--request-rate", "bench", "--request-rate", "NaN")]
    [InlineData("--input-len", "bench", "serve", "--input-len", "0")]
    [InlineData("--url", "chat", "--url", "ftp://127.0.0.1", "hello")]
    [InlineData("--url", "chat", "--url", "http://127.0.0.1:8081,", "hello")]
    [InlineData("--temperature", "chat", "--temperature", "NaN", "hello")]
    [InlineData("--temperature", "chat", "--temperature", "2.5", "hello")]
    [InlineData("--max-tokens", "chat", "--max-tokens", "-1", "hello")]
    [InlineData("--seed", "chat", "--seed", "-1", "hello")]
    [InlineData("--no-such", "chat", "--no-such")]
    [InlineData("-x", "chat", "-x")]
    public async Task Wrong_usage_is_code_2_and_names_what_is_wrong(string mention, params string[] args)
    {
        (int code, _, string error) = await ToolRun.RunAsync(args);

        Assert.Equal(2, code);
        Assert.Contains(mention, error);
    }

    [Theory]
    [InlineData("chat", "--url", "http://127.0.0.1:1", "hello")]
    [InlineData("bench", "--url", "http://127.0.0.1:1")]
    [InlineData("bench", "serve", "--url", "http://127.0.0.1:1", "--request-rate", "inf", "--output-len", "3")]
    public async Task Where_no_gateway_answers_the_address_and_the_remedy_are_named(params string[] args)
    {
        (int code, _, string error) = await ToolRun.RunAsync(args);

        Assert.Equal(1, code);
        Assert.Contains("http://127.0.0.1:1/", error);
        Assert.Contains("dotnet run -c Release --project gateway", error);
        Assert.Single(error.TrimEnd('\n').Split('\n'));
    }
}
