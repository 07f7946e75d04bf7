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

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Silos_give_the_tokens_of_the_embedded_gateway(int silos)
    {
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, silos);
        await AssertSameTokensAsync(cluster);
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

    [NumaFact]
    public async Task An_embedded_gateway_of_two_NUMA_nodes_gives_the_tokens_of_one()
    {
        using NumaHost host = NumaHost.OfThisMachine();
        await using GatewayProcess gateway = await GatewayProcess.StartReadyAsync(Programs.Nano, ["--numa", host.Path]);
        Assert.Contains("on 2 shards", gateway.Process.Output);
        await AssertSameTokensAsync(gateway);
    }

    [NumaFact]
    public async Task A_list_of_NUMA_nodes_that_is_none_is_logged_and_all_is_one_device()
    {
        using NumaHost host = NumaHost.OfThisMachine();
        File.WriteAllText(Path.Combine(host.Path, "node0", "cpulist"), "all of them");
        await using GatewayProcess gateway = await GatewayProcess.StartReadyAsync(Programs.Nano, ["--numa", host.Path]);
        Assert.Contains("on 1 shard", gateway.Process.Output);
        Assert.Contains("cpulist", gateway.Process.Output + gateway.Process.Errors);
    }

    [Fact]
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
    public async Task Redis_gives_the_tokens_of_the_embedded_gateway()
    {
        (ChildProcess redis, int port) = await DebianServer.StartRedisAsync();
        await using ChildProcess server = redis;
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 2, ["--cluster", "redis", "--redis", $"127.0.0.1:{port}"]);
        await AssertSameTokensAsync(cluster);
        await cluster.Silos["silo-0"].KillAsync();
        cluster.LaunchSilo("silo-0");
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
    public async Task A_killed_silo_comes_back_and_serves_without_touching_the_gateway()
    {
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 2);
        JsonObject longRequest = new() { ["prompt"] = "Hello", ["max_tokens"] = 300, ["ignore_eos"] = true, ["temperature"] = 0, ["return_token_ids"] = true };
        int[] expected = (await _embedded.PostAsync("/v1/completions", longRequest)).TokenIds();
        Task<JsonElement> inFlight = cluster.Gateway.Http.PostAsync("/v1/completions", longRequest);
        await cluster.Silos["silo-1"].KillAsync();
        Assert.Equal(expected, (await inFlight).TokenIds());
        await AssertSameTokensAsync(cluster);

        ChildProcess again = cluster.LaunchSilo("silo-1");
        await LocalCluster.WaitUntilReadyAsync(again);
        await AssertSameTokensAsync(cluster);
        await cluster.Silos["silo-0"].KillAsync();
        await AssertSameTokensAsync(cluster);
    }

    [Fact]
    public async Task The_gateway_may_be_killed_first_and_start_again()
    {
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 2);
        await cluster.Gateway.Process.KillAsync();
        await cluster.RestartGatewayAsync();
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
