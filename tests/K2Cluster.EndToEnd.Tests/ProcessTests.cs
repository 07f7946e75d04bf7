using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>Exit codes and messages, as a script or an operator meets them.</summary>
public sealed class ProcessTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_gateway_stopped_as_asked_ends_with_0()
    {
        await using GatewayProcess gateway = await GatewayProcess.StartReadyAsync(Programs.Nano, []);
        Assert.Equal(0, await gateway.Process.StopAsync());
        Assert.Single(gateway.Process.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task A_silo_stopped_as_asked_ends_with_0()
    {
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 1);
        Assert.Equal(0, await cluster.Silos["silo-0"].StopAsync());
    }

    [Fact]
    public async Task A_gateway_stopped_before_any_silo_came_ends_with_0()
    {
        await using GatewayProcess gateway = GatewayProcess.Start(Programs.Nano, ["--cluster", "localhost", "--cluster-id", $"test-{Guid.NewGuid():n}"]);
        await gateway.Process.WaitForLineAsync(line => line.Contains("Not ready", StringComparison.Ordinal), Limit);
        Assert.Equal(0, await gateway.Process.StopAsync());
        Assert.Empty(gateway.Process.Output);
    }

    [Theory]
    [InlineData("gateway", "K2Cluster.Gateway", "--no-such-option")]
    [InlineData("silo", "K2Cluster.Silo", "--no-such-option")]
    [InlineData("gateway", "K2Cluster.Gateway", "--cluster", "telepathy")]
    [InlineData("silo", "K2Cluster.Silo", "--memory", "lots")]
    public async Task Wrong_usage_ends_with_2(string project, string assembly, params string[] arguments)
    {
        await using ChildProcess process = Programs.Start(project, assembly, arguments);
        Assert.Equal(2, await process.WaitForExitAsync(Limit));
        Assert.Contains(arguments[0], process.Errors);
        Assert.DoesNotContain("   at ", process.Errors);
    }

    [Theory]
    [InlineData("gateway", "K2Cluster.Gateway", "--http", "http://0.0.0.0:0")]
    [InlineData("silo", "K2Cluster.Silo", "--cluster", "localhost", "--listen", "0.0.0.0")]
    public async Task Listening_beyond_loopback_needs_insecure(string project, string assembly, params string[] arguments)
    {
        await using ChildProcess process = Programs.Start(project, assembly, ["--model", Programs.Nano, .. arguments]);
        Assert.NotEqual(0, await process.WaitForExitAsync(Limit));
        Assert.Contains("--insecure", process.Errors);
    }

    [Theory]
    [InlineData("1KiB", "--kv-memory is 1,024 bytes; a page of 64 tokens takes")]
    [InlineData("1000TiB", "This machine has no memory for the model's trunk beside a --kv-memory of 1,099,511,627,776,000 bytes.")]
    public async Task A_KV_memory_that_holds_no_page_or_is_not_to_be_had_ends_with_1_and_says_so(string size, string expected)
    {
        await using ChildProcess process = Programs.Start("gateway", "K2Cluster.Gateway", ["--model", Programs.Nano, "--http", "http://127.0.0.1:0", "--grpc", "http://127.0.0.1:0", "--kv-memory", size]);
        Assert.Equal(1, await process.WaitForExitAsync(Limit));
        Assert.Contains(expected, process.Errors);
        Assert.DoesNotContain("unexpected", process.Errors);
    }

    [Fact]
    public async Task A_port_in_use_ends_with_1_and_says_which()
    {
        await using GatewayProcess first = await GatewayProcess.StartReadyAsync(Programs.Nano, []);
        string taken = first.Http.BaseAddress!.GetLeftPart(UriPartial.Authority);
        await using ChildProcess second = Programs.Start("gateway", "K2Cluster.Gateway", ["--model", Programs.Nano, "--http", taken, "--grpc", $"http://127.0.0.1:{FreePort.Next()}"]);
        Assert.Equal(1, await second.WaitForExitAsync(Limit));
        Assert.Contains(first.Http.BaseAddress.Port.ToString(), second.Errors);
        Assert.DoesNotContain("   at ", second.Errors);
    }

    [Fact]
    public async Task Redis_out_of_reach_ends_with_1_and_says_where_it_was_looked_for()
    {
        int port = FreePort.Next();
        await using ChildProcess silo = Programs.Start("silo", "K2Cluster.Silo", ["--model", Programs.Nano, "--cluster", "redis", "--redis", $"127.0.0.1:{port}"]);
        Assert.Equal(1, await silo.WaitForExitAsync(TimeSpan.FromSeconds(60)));
        Assert.Contains($"127.0.0.1:{port}", silo.Errors);
        Assert.DoesNotContain("   at ", silo.Errors);
    }

    /// <summary>Some of the 200 cases that the checkpoint's own tests go through: eight, or forty with K2_LONG.</summary>
    public static TheoryData<string> Broken => [.. BrokenCheckpoints.All.Where((_, i) => i % (Long.IsAskedFor ? 5 : 25) == 0).Select(broken => broken.Name)];

    [Theory]
    [MemberData(nameof(Broken))]
    public async Task A_broken_checkpoint_ends_with_1_and_one_message(string name)
    {
        BrokenCheckpoint broken = BrokenCheckpoints.All.Single(one => one.Name == name);
        using TemporaryDirectory folder = broken.Create();
        await using ChildProcess process = Programs.Start("gateway", "K2Cluster.Gateway", ["--model", folder.Path, "--http", "http://127.0.0.1:0", "--grpc", "http://127.0.0.1:0"]);
        Assert.Equal(1, await process.WaitForExitAsync(Limit));
        string message = Assert.Single(process.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.All(broken.Mentions, mention => Assert.Contains(mention, message));
        Assert.DoesNotContain("   at ", message);
    }
}
