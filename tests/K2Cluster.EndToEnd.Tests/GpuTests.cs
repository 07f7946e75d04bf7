using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Protocol.V1;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>Silos with GPUs that the fake driver makes: the committed kernels answer as the oracles do.</summary>
public sealed class GpuTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>Model, memory, experts and the most that a GPU holds; the smaller model with K2_LONG only.</summary>
    public static TheoryData<string, string, int, int> Models
    {
        get
        {
            TheoryData<string, string, int, int> models = new() { { "k2-nano", "530KiB", 64, 29 } };
            if (Long.IsAskedFor)
                models.Add("tiny-k2", "400KiB", 48, 22);
            return models;
        }
    }

    /// <summary>
    /// Requests come one after another, all the while, and get the right tokens: from two GPUs and the CPU of a silo; while a silo with one more GPU
    /// joins, and what the CPU had moves there when an operator rebalances; while it leaves, and all moves back; and when a GPU fails, and its experts go to the devices left.
    /// </summary>
    /// <param name="model">tiny-k2 or k2-nano.</param>
    /// <param name="memory">Of each device: an expert takes 18 KiB of a GPU and 13.5 of the CPU. Not all experts fit the GPUs, and one GPU and the CPU can hold all.</param>
    /// <param name="experts">Of all layers.</param>
    /// <param name="most">That a GPU holds.</param>
    [Theory]
    [MemberData(nameof(Models))]
    public async Task Tokens_are_right_on_GPUs_and_CPU_while_experts_move_and_when_a_GPU_fails(string model, string memory, int experts, int most)
    {
        using TemporaryDirectory folder = new();
        string broken = Path.Combine(folder.Path, "broken");
        bool isTiny = model == "tiny-k2";
        await using LocalCluster cluster = await StartAsync(isTiny ? Repository.Fixture(model) : Programs.Nano, Programs.FakeGpus("", $",fail-when={broken}:214"), "auto", memory);
        ChildProcess silo = cluster.Silos["silo-0"];
        Assert.Contains("on 3 shards", cluster.Gateway.Process.Output);
        Assert.Equal([experts - (2 * most), most, most], Held(await MetricsAsync(silo)));
        await using (Traffic traffic = await Traffic.StartAsync(() => isTiny ? AssertTinyAsync(cluster.Gateway, tokens: 8) : AssertNanoAsync(cluster.Gateway)))
        {
            Assert.Contains("k2_shard_kernel_duration_seconds_count{otel_scope_name=\"K2Cluster.Shard\",k2_device=\"cuda:1 Fake GPU\"}", await MetricsAsync(silo));

            ChildProcess second = cluster.LaunchSilo("silo-1", "--device", "cuda:0", "--memory", memory);
            await LocalCluster.WaitUntilReadyAsync(second);
            Assert.NotEqual(0, Held(await MetricsAsync(silo))[0]);
            // What the CPU holds goes to another kind of device only when somebody asks for it: its bits are others there.
            await new Admin.AdminClient(cluster.Gateway.Grpc).ChangeAsync(new ChangeRequest { Changes = { new PlacementChange { Rebalance = new Rebalance() } } });
            await Eventually.TrueAsync(Limit, async () => Held(await MetricsAsync(silo)) is [0, > 0, > 0]); // and second replicas where there is room
            await traffic.RoundAsync();

            Assert.Equal(0, await second.StopAsync());
            await Eventually.TrueAsync(Limit, async () => Held(await MetricsAsync(silo)) is [> 0, > 0, > 0] held && held.Sum() >= experts);
            await traffic.RoundAsync();

            File.WriteAllText(broken, "");
            string line = await silo.WaitForLineAsync(text => text.Contains("is lost", StringComparison.Ordinal), Limit);
            Assert.Contains("cuda:1 Fake GPU is lost", line);
            Assert.Contains("reset or replace the card", line);
            await Eventually.TrueAsync(Limit, async () => Held(await MetricsAsync(silo)) is [_, _, 0] held && held.Sum() >= experts);
            await traffic.RoundAsync();
        }

        await Eventually.TrueAsync(Limit, () => cluster.Gateway.AnswersAsync("/readyz", 200));
        Assert.Equal("200", await StatusAsync(silo, "/readyz"));
        Assert.Equal(0, await silo.StopAsync());
    }

    [Fact]
    public async Task GPUs_alone_give_the_reference_s_tokens()
    {
        await using LocalCluster cluster = await StartAsync(Repository.Fixture("tiny-k2"), Programs.FakeGpus("", ",capability=8.6"), "cuda:1,0", "1GiB");
        Assert.Contains("on 2 shards", cluster.Gateway.Process.Output);
        await AssertTinyAsync(cluster.Gateway, tokens: 24);
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

    private static async Task AssertTinyAsync(GatewayProcess gateway, int tokens)
    {
        SafetensorsFile file = SafetensorsFile.Read(Repository.Fixture("tiny-k2", "expected.safetensors"));
        int[] expected = Longs(file, "greedy_ids")[..tokens];
        JsonObject request = new()
        {
            ["prompt"] = new JsonArray([.. Longs(file, "input_ids").Select(id => JsonValue.Create(id))]),
            ["max_tokens"] = expected.Length,
            ["temperature"] = 0,
            ["ignore_eos"] = true,
            ["return_token_ids"] = true,
        };
        Assert.Equal(expected, (await gateway.Http.PostAsync("/v1/completions", request)).TokenIds());
    }

    /// <summary>The shortest of the answers whose margins are wide.</summary>
    private static async Task AssertNanoAsync(GatewayProcess gateway)
    {
        Answers.Answer answer = Answers.Certain.MinBy(answer => answer.Completion.Length)!;
        int[] tokens = (await gateway.Http.PostAsync("/v1/chat/completions", OpenAiClient.GreedyChat(answer))).TokenIds();
        Assert.Equal(answer.Completion, (await gateway.Http.PostAsync("/detokenize", new { tokens })).GetProperty("prompt").GetString());
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
        public static async Task<Traffic> StartAsync(Func<Task> request)
        {
            Traffic traffic = new();
            traffic._task = traffic.RunAsync(request);
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

        private async Task RunAsync(Func<Task> request)
        {
            while (!_stop.IsCancellationRequested)
            {
                await request();
                _rounds.Release();
            }
        }
    }
}
