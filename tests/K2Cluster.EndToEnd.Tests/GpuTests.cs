using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>Silos with GPUs that the fake driver makes: the committed kernels answer as the CPU does where margins are wide.</summary>
public sealed class GpuTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
    /// <summary>An expert of k2-nano takes 18 KiB of a GPU: there is room for 25 of its 64 on each device.</summary>
    private const string RoomFor25 = "460KiB";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly HttpClient _embedded = embedded.Http;

    [Fact]
    public async Task Two_GPUs_and_the_CPU_of_a_silo_are_three_shards_and_give_the_right_tokens()
    {
        await using LocalCluster cluster = await StartAsync(Programs.Nano, Programs.FakeGpus("", ""), "auto", RoomFor25);
        Assert.Contains("on 3 shards", cluster.Gateway.Process.Output);
        await AssertTokensAsync(cluster.Gateway, Requests());

        string metrics = await MetricsAsync(cluster.Silos["silo-0"]);
        Assert.Equal([14, 25, 25], Held(metrics));
        Assert.Contains("k2_shard_kernel_duration_seconds_count{otel_scope_name=\"K2Cluster.Shard\",k2_device=\"cuda:1 Fake GPU\"}", metrics);
    }

    [Fact]
    public async Task GPUs_alone_give_the_reference_s_tokens()
    {
        await using LocalCluster cluster = await StartAsync(Repository.Fixture("tiny-k2"), Programs.FakeGpus("", ",capability=8.6"), "cuda:1,0", "1GiB");
        Assert.Contains("on 2 shards", cluster.Gateway.Process.Output);
        SafetensorsFile file = SafetensorsFile.Read(Repository.Fixture("tiny-k2", "expected.safetensors"));
        int[] expected = Longs(file, "greedy_ids");
        JsonObject request = new()
        {
            ["prompt"] = new JsonArray([.. Longs(file, "input_ids").Select(id => JsonValue.Create(id))]),
            ["max_tokens"] = expected.Length,
            ["temperature"] = 0,
            ["ignore_eos"] = true,
            ["return_token_ids"] = true,
        };
        Assert.Equal(expected, (await cluster.Gateway.Http.PostAsync("/v1/completions", request)).TokenIds());
    }

    [Fact]
    public async Task Requests_do_not_notice_that_experts_move_between_devices()
    {
        await using LocalCluster cluster = await StartAsync(Programs.Nano, Programs.FakeGpus("", ""), "auto", RoomFor25);
        ChildProcess first = cluster.Silos["silo-0"];
        await using Traffic traffic = await Traffic.StartAsync(this, cluster.Gateway);

        // Two more GPUs: what the CPU had moves there, and some of what the first two had.
        ChildProcess second = cluster.LaunchSilo("silo-1", "--device", "cuda:0,1", "--memory", RoomFor25);
        await LocalCluster.WaitUntilReadyAsync(second);
        await Eventually.TrueAsync(Limit, async () => Held(await MetricsAsync(first)) is [0, > 0 and < 25, > 0 and < 25]);
        await traffic.RoundAsync();

        // And back, over a silo that says that it leaves.
        Assert.Equal(0, await second.StopAsync());
        await Eventually.TrueAsync(Limit, async () => Held(await MetricsAsync(first)).Sum() == 64);
        await traffic.RoundAsync();
    }

    [Fact]
    public async Task Requests_go_on_when_a_GPU_fails_and_its_experts_go_to_the_devices_left()
    {
        using TemporaryDirectory folder = new();
        string broken = Path.Combine(folder.Path, "broken");
        await using LocalCluster cluster = await StartAsync(Programs.Nano, Programs.FakeGpus("", $",fail-when={broken}:214"), "auto", "900KiB");
        ChildProcess silo = cluster.Silos["silo-0"];
        int[] before = Held(await MetricsAsync(silo));
        Assert.Equal([0, 32, 32], before);
        await using (Traffic traffic = await Traffic.StartAsync(this, cluster.Gateway))
        {
            File.WriteAllText(broken, "");
            string line = await silo.WaitForLineAsync(text => text.Contains("is lost", StringComparison.Ordinal), Limit);
            Assert.Contains("cuda:1 Fake GPU is lost", line);
            Assert.Contains("reset or replace the card", line);
            await Eventually.TrueAsync(Limit, async () => Held(await MetricsAsync(silo)) is [14, 50, 0]);
            await traffic.RoundAsync();
        }

        await Eventually.TrueAsync(Limit, () => cluster.Gateway.AnswersAsync("/readyz", 200));
        Assert.Equal("200", await StatusAsync(silo, "/readyz"));
        Assert.Equal(0, await silo.StopAsync());
    }

    [Fact]
    public async Task A_GPU_that_is_asked_for_and_cannot_be_used_ends_the_start_with_its_name()
    {
        await using ChildProcess silo = Programs.Start(
            "silo", "K2Cluster.Silo", ["--model", Programs.Nano, "--cluster-id", $"test-{Guid.NewGuid():n}", "--device", "cuda:1"], Programs.FakeGpus("", ",name=Tesla T4,capability=7.5"));
        Assert.Equal(1, await silo.WaitForExitAsync(Limit));
        Assert.Contains("--device cuda:1: cuda:1 Tesla T4 has compute capability 7.5", silo.Errors);
    }

    private static Task<LocalCluster> StartAsync(string model, IReadOnlyDictionary<string, string> gpus, string device, string memory) =>
        LocalCluster.StartAsync(model, 1, environment: gpus, siloOptions: _ => ["--device", device, "--memory", memory]);

    private static JsonObject[] Requests() => [.. Answers.Certain.Take(4).Select(OpenAiClient.GreedyChat)];

    private async Task AssertTokensAsync(GatewayProcess gateway, JsonObject[] requests)
    {
        foreach (JsonObject request in requests)
        {
            int[] expected = (await _embedded.PostAsync("/v1/chat/completions", request)).TokenIds();
            Assert.Equal(expected, (await gateway.Http.PostAsync("/v1/chat/completions", request)).TokenIds());
        }
    }

    private static async Task<string> MetricsAsync(ChildProcess silo)
    {
        using HttpClient http = Http(silo);
        return await http.GetStringAsync("/metrics");
    }

    private static async Task<string> StatusAsync(ChildProcess silo, string path)
    {
        using HttpClient http = Http(silo);
        using HttpResponseMessage response = await http.GetAsync(path);
        return $"{(int)response.StatusCode}";
    }

    /// <summary>At the address of the silo's ready line.</summary>
    private static HttpClient Http(ChildProcess silo)
    {
        string address = silo.Output[silo.Output.IndexOf("http://", StringComparison.Ordinal)..];
        return new HttpClient { BaseAddress = new Uri(address[..address.IndexOf(',', StringComparison.Ordinal)]) };
    }

    /// <summary>Experts held by each of a silo's shards, by slot.</summary>
    private static int[] Held(string metrics) =>
    [
        .. metrics.Split('\n').Where(line => line.StartsWith("k2_experts_held{", StringComparison.Ordinal))
            .OrderBy(line => line, StringComparer.Ordinal).Select(line => int.Parse(line[(line.IndexOf('}', StringComparison.Ordinal) + 2)..].Split(' ')[0])),
    ];

    private static int[] Longs(SafetensorsFile file, string name) => [.. MemoryMarshal.Cast<byte, long>(file.DataOf(name)).ToArray().Select(value => (int)value)];

    /// <summary>Requests one after another, whose tokens must be right, until it is disposed.</summary>
    private sealed class Traffic : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly SemaphoreSlim _rounds = new(0);
        private Task _task = Task.CompletedTask;

        /// <summary>Ends when the first round has, so that there is an answer to compare with and one under way.</summary>
        public static async Task<Traffic> StartAsync(GpuTests tests, GatewayProcess gateway)
        {
            Traffic traffic = new();
            traffic._task = traffic.RunAsync(tests, gateway);
            await traffic.NextAsync();
            return traffic;
        }

        /// <summary>Waits until a round was begun and has ended.</summary>
        public async Task RoundAsync()
        {
            await NextAsync();
            await NextAsync();
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await _task;
            _stop.Dispose();
            _rounds.Dispose();
        }

        private async Task NextAsync()
        {
            while (_rounds.CurrentCount > 0)
                await _rounds.WaitAsync();
            Task next = _rounds.WaitAsync(Limit);
            await (await Task.WhenAny(next, _task));
            Assert.False(_task.IsCompleted, "The requests ended early.");
        }

        private async Task RunAsync(GpuTests tests, GatewayProcess gateway)
        {
            while (!_stop.IsCancellationRequested)
            {
                await tests.AssertTokensAsync(gateway, Requests());
                _rounds.Release();
            }
        }
    }
}
