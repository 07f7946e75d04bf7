using K2Cluster.Cli.Tests;
using K2Cluster.Cluster.Tests.InProcess;
using Microsoft.Extensions.Hosting;

namespace K2Cluster.Cluster.Tests.Operators;

/// <summary><c>k2 cluster --direct</c> and silos, with no gateway anywhere.</summary>
public sealed class DirectTests : IDisposable
{
    private readonly string _cluster = $"direct-{Guid.NewGuid():N}";

    /// <summary>Where the tool looks is where members are unless told otherwise.</summary>
    public void Dispose()
    {
        if (Directory.Exists(Folder))
            Directory.Delete(Folder, recursive: true);
    }

    private string Folder => Path.Combine(Options("any").StateFolderOrDefault, _cluster);

    [Fact]
    public async Task Silos_are_asked_and_changed_without_a_gateway()
    {
        (int code, _, string error) = await K2Async("status");
        Assert.Equal((1, $"No silo of cluster {_cluster} is alive: name the cluster as its silos do (--cluster, --redis, --cluster-id), or start a silo.\n"), (code, error));
        Assert.False(Directory.Exists(Folder));

        using IHost first = HostedMember.Build(Options("first"), gateway: false);
        using IHost second = HostedMember.Build(Options("second"), gateway: false);
        await Task.WhenAll(first.StartAsync(), second.StartAsync());
        string status = "";
        for (int tries = 0; !status.Contains("Every expert is served.") && tries < 100; tries++)
            (_, status, _) = await K2Async("status");
        Assert.StartsWith($"{_cluster}: 3 × 12 experts", status);
        Assert.Matches("first/0 +cpu", status);

        Assert.Matches(@"0 +(first/0|second/0)", (await K2Async("plan", "--layer", "1")).Output);
        Assert.Contains("of its layer", (await K2Async("explain", "1", "0")).Output);
        Assert.StartsWith("Would change", (await K2Async("what-if", "drain", "first")).Output);
        Assert.Equal(0, (await K2Async("drain", "first", "--no-wait")).Code);
        status = (await K2Async("status")).Output;
        Assert.Matches("first/0 .* drain(s|ed)", status);
        Assert.Contains("No gateway asks for plans.", status); // else what is to be dropped would wait for the tool
        (code, _, error) = await K2Async("move", "9", "9", "--to", "second");
        Assert.Equal((1, "There is no layer 9 expert 9: layers 1 to 3 have experts 0 to 11.\n"), (code, error));
        await Task.WhenAll(first.StopAsync(), second.StopAsync());
    }

    private ClusterOptions Options(string name) => new() { Mode = ClusterMode.Localhost, ClusterId = _cluster, SiloName = name, HostsShards = true };

    private Task<(int Code, string Output, string Error)> K2Async(params string[] args) => ToolRun.RunAsync(["cluster", .. args, "--direct", "--cluster-id", _cluster]);
}
