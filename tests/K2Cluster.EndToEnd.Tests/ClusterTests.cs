using System.Text.Json;
using System.Text.Json.Nodes;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>The same tokens wherever experts live; any process may start or die first.</summary>
public sealed class ClusterTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
    private static readonly string[] Prompts = ["What is 123 + 456?", "Spell the word cluster.", "What is the capital of Norway?", "Who are you?"];

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly HttpClient _embedded = embedded.Http;

    [Fact]
    public async Task Silos_give_the_tokens_of_the_embedded_gateway()
    {
        const int silos = 3;
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, silos);
        await AssertSameTokensAsync(cluster);

        // The tokens would be the same by grain calls.
        string[] metrics = (await cluster.Gateway.Http.GetStringAsync("/metrics")).Split('\n');
        Assert.True(Metric("k2_fabric_calls_total") > 100 * silos, $"{Metric("k2_fabric_calls_total")} calls over the fabric");
        Assert.DoesNotContain(metrics, line => line.StartsWith("k2_experts_held", StringComparison.Ordinal)); // the gateway's own: none
        Assert.True(Metric("k2_fabric_fallbacks_total") < Metric("k2_fabric_calls_total") / 10);

        double Metric(string name) => metrics.Where(line => line.StartsWith(name, StringComparison.Ordinal)).Sum(line => double.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture));
    }

    [NumaFact]
    public async Task A_silo_of_two_NUMA_nodes_is_two_shards_on_their_cpus_with_the_tokens_of_one()
    {
        using NumaHost host = NumaHost.OfThisMachine();
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 1, siloOptions: _ => ["--numa", host.Path]);
        Assert.Contains("on 2 shards", cluster.Gateway.Process.Output);
        Assert.Equal(host.Cpus, NumaHost.CpusOfThreads(cluster.Silos["silo-0"].Id, "k2-device"));
        Assert.Equal(host.Cpus, NumaHost.CpusOfThreads(cluster.Silos["silo-0"].Id, "k2-load"));
        await AssertSameTokensAsync(cluster);
    }

    [NumaFact(isLong: true)]
    public async Task An_embedded_gateway_of_two_NUMA_nodes_gives_the_tokens_of_one()
    {
        using NumaHost host = NumaHost.OfThisMachine();
        await using GatewayProcess gateway = await GatewayProcess.StartReadyAsync(Programs.Nano, ["--numa", host.Path]);
        Assert.Contains("on 2 shards", gateway.Process.Output);
        await AssertSameTokensAsync(gateway);
    }

    [LongFact]
    public async Task A_silo_with_int8_activations_is_of_its_own_kind_and_gives_the_tokens_of_such_a_gateway()
    {
        string[] int8 = ["--cpu-activations", "int8"];
        await using GatewayProcess gateway = await GatewayProcess.StartReadyAsync(Programs.Nano, int8);
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 1, siloOptions: _ => int8);
        ChildProcess silo = cluster.Silos["silo-0"];
        Assert.Contains("cpu-int8", silo.Output + silo.Errors);
        await AssertSameTokensAsync(cluster.Gateway, gateway.Http);
    }

    [ServerFact("redis-server")]
    public async Task Redis_and_TLS_give_the_tokens_of_the_embedded_gateway_also_after_Redis_lost_the_members()
    {
        using TestAuthority authority = new();
        (string certificate, string key) = authority.Sign();
        string[] tls = ["--tls-cert", certificate, "--tls-key", key, "--tls-ca", authority.File];
        (ChildProcess redis, int port) = await DebianServer.StartRedisAsync();
        await using ChildProcess server = redis;
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 2, ["--cluster", "redis", "--redis", $"127.0.0.1:{port}", .. tls]);
        await AssertSameTokensAsync(cluster);
        await cluster.Silos["silo-0"].KillAsync();
        await LocalCluster.WaitUntilReadyAsync(cluster.LaunchSilo("silo-0")); // one that only starts would join what follows
        await AssertSameTokensAsync(cluster);

        await redis.KillAsync();
        (ChildProcess emptyRedis, _) = await DebianServer.StartRedisAsync(port);
        await using ChildProcess emptyServer = emptyRedis;
        foreach (ChildProcess member in cluster.Silos.Values.Append(cluster.Gateway.Process))
        {
            Assert.Equal(1, await member.WaitForExitAsync(Limit));
            Assert.Contains("failed: The table of the cluster's members is gone", member.Errors);
        }

        cluster.LaunchSilo("silo-0");
        cluster.LaunchSilo("silo-1");
        await cluster.RestartGatewayAsync();
        await AssertSameTokensAsync(cluster);
    }

    [ServerFact("redis-server")]
    public async Task Who_has_another_checkpoint_or_the_name_of_a_member_does_not_join_and_says_why()
    {
        using TemporaryDirectory other = TemporaryDirectory.CopyOf(Programs.Nano);
        string weights = Path.Combine(other.Path, "model-00002-of-00002.safetensors");
        byte[] content = await File.ReadAllBytesAsync(weights);
        content[^1] ^= 0xFF;
        await File.WriteAllBytesAsync(weights, content);
        (ChildProcess redis, int port) = await DebianServer.StartRedisAsync();
        await using ChildProcess server = redis;
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 1, ["--cluster", "redis", "--redis", $"127.0.0.1:{port}"]);

        ChildProcess first = cluster.Silos["silo-0"];
        await using ChildProcess namesake = cluster.LaunchSilo("silo-0");
        cluster.Silos["silo-0"] = first;
        ChildProcess silo = cluster.LaunchSilo("silo-1", "--model", other.Path);
        ChildProcess gateway = cluster.LaunchGateway(model: other.Path).Process;
        foreach (ChildProcess process in new[] { namesake, silo, gateway })
            Assert.Equal(1, await process.WaitForExitAsync(Limit));
        Assert.Contains("failed: A silo named silo-0 runs already (127.0.0.1:", namesake.Errors);
        foreach (ChildProcess refused in new[] { silo, gateway })
            Assert.Matches($"failed: This process cannot join the cluster: its checkpoint \\(--model {other.Path}\\) differs from that of [^ ]+: {Path.GetFileName(weights)} has other content. Copy the checkpoint again", refused.Errors);
        await AssertSameTokensAsync(cluster);
    }

    [Fact]
    public async Task A_gateway_may_start_long_before_any_silo_and_readiness_says_what_it_waits_for()
    {
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 0);
        await Eventually.TrueAsync(Limit, () => cluster.Gateway.AnswersAsync("/healthz", 200));
        using HttpResponseMessage refused = await cluster.Gateway.Http.GetAsync("/readyz");
        Assert.Equal(503, (int)refused.StatusCode);
        Assert.Contains("silo", await refused.Content.ReadAsStringAsync());
        cluster.LaunchSilo("late");
        await cluster.Gateway.WaitUntilReadyAsync();
        await AssertSameTokensAsync(cluster);

        await cluster.Silos["late"].KillAsync();
        await Eventually.TrueAsync(Limit, () => cluster.Gateway.AnswersAsync("/readyz", 503));
        cluster.LaunchSilo("later");
        await AssertSameTokensAsync(cluster);
    }

    [Fact]
    public async Task A_cluster_killed_as_a_whole_starts_again_at_once()
    {
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 2);
        foreach (ChildProcess silo in cluster.Silos.Values)
            await silo.KillAsync();
        await cluster.Gateway.Process.KillAsync();
        cluster.LaunchSilo("silo-0");
        cluster.LaunchSilo("silo-1");
        await cluster.RestartGatewayAsync();
        await AssertSameTokensAsync(cluster);
    }

    /// <summary>Greedy, sampled and with tools; one by one here, all at once there.</summary>
    private Task AssertSameTokensAsync(LocalCluster cluster) => AssertSameTokensAsync(cluster.Gateway);

    private async Task AssertSameTokensAsync(GatewayProcess gateway, HttpClient? reference = null)
    {
        reference ??= _embedded;
        await Eventually.TrueAsync(Limit, () => gateway.AnswersAsync("/readyz", 200));
        List<int[]> expected = [];
        foreach (JsonObject request in Requests())
            expected.Add((await reference.PostAsync("/v1/chat/completions", request)).TokenIds());
        JsonElement[] answers = await Task.WhenAll(Requests().Select(request => gateway.Http.PostAsync("/v1/chat/completions", request)));
        for (int i = 0; i < answers.Length; i++)
            Assert.Equal(expected[i], answers[i].TokenIds());
    }

    private static IEnumerable<JsonObject> Requests()
    {
        foreach (string prompt in Prompts)
            yield return OpenAiClient.GreedyChat(prompt);
        JsonObject sampled = OpenAiClient.GreedyChat("Who are you?");
        sampled["temperature"] = 1.3;
        sampled["top_p"] = 0.9;
        sampled["seed"] = 7;
        yield return sampled;
        yield return OpenAiClient.GreedyChat(Answers.Certain.First(answer => answer.Tools is { ValueKind: JsonValueKind.Array }));
    }
}
