using Grpc.Core;
using K2Cluster.Client;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Protocol.V1;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>Gateways and silos go, whether killed or asked to; who talks to them through the client is told the same as if they had stayed.</summary>
public sealed class FailoverTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>Greedy; drawn, punished, with log-probabilities, two answers at once.</summary>
    private static readonly GenerateRequest[] Requests =
    [
        new() { Text = "<|im_user|>user<|im_middle|>Who are you?<|im_end|><|im_assistant|>assistant<|im_middle|>", Options = new GenerationOptions { MaxTokens = 300, Temperature = 0, IgnoreEos = true, ReturnTokenIds = true } },
        new()
        {
            Text = "What is",
            Options = new GenerationOptions
            {
                MaxTokens = 200, Temperature = 1.2f, TopP = 0.95f, Seed = 11, N = 2, IgnoreEos = true, Logprobs = 3,
                RepetitionPenalty = 1.1f, PresencePenalty = 0.3f, FrequencyPenalty = 0.1f, LogitBias = { [20] = 2 },
            },
        },
    ];

    [Fact]
    public async Task Answers_go_on_to_the_same_end_at_another_gateway_when_their_own_is_killed()
    {
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 1, moreGateways: 1);
        GatewayProcess other = cluster.MoreGateways[0];
        using K2Client undisturbed = new([other.GrpcAddress]);
        List<GenerateEvent>[] expected = await Task.WhenAll(Requests.Select(request => ReadAsync(undisturbed.GenerateAsync(request))));
        int served = await ServedAsync(other);

        using K2Client client = new([cluster.Gateway.GrpcAddress, other.GrpcAddress]);
        using CountdownEvent begun = new(Requests.Length);
        TaskCompletionSource allBegun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Task<List<GenerateEvent>>[] reading = [.. Requests.Select(request => ReadAsync(client.GenerateAsync(request), count =>
        {
            if (count == 20 && begun.Signal())
                allBegun.SetResult();
        }))];
        await allBegun.Task.WaitAsync(Limit);
        await cluster.Gateway.Process.KillAsync();
        List<GenerateEvent>[] actual = await Task.WhenAll(reading).WaitAsync(Limit);

        for (int i = 0; i < Requests.Length; i++)
        {
            for (uint choice = 0; choice < Math.Max(1, Requests[i].Options.N); choice++)
                Assert.Equal(Answer(expected[i], choice), Answer(actual[i], choice));
        }

        // Each of the three answers by itself.
        Assert.Equal(served + 3, await ServedAsync(other));
    }

    [Fact]
    public async Task A_gateway_finishes_what_it_has_begun_before_it_stops()
    {
        await using GatewayProcess gateway = await GatewayProcess.StartReadyAsync(Programs.Nano, []);
        Inference.InferenceClient client = new(gateway.Grpc);
        using AsyncServerStreamingCall<GenerateEvent> call = client.Generate(Requests[0]);
        Assert.True(await call.ResponseStream.MoveNext());
        Task<int> stopped = gateway.Process.StopAsync(Limit);
        List<GenerateEvent> events = await ReadAsync(call.ResponseStream.ReadAllAsync());

        Assert.Equal(300, events.Sum(item => item.TokenIds.Count));
        Assert.Equal(FinishReason.Length, events[^1].Finished.Reason);
        Assert.Equal(0, await stopped);
    }

    [Fact]
    public async Task The_last_silo_leaves_at_once_and_a_gateway_ends_what_it_cannot_finish_in_time()
    {
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 1, gatewayOptions: ["--drain-timeout", "1"]);
        GatewayProcess gateway = cluster.Gateway;
        using AsyncServerStreamingCall<GenerateEvent> call = new Inference.InferenceClient(gateway.Grpc).Generate(new GenerateRequest(Requests[0]) { Options = new GenerationOptions(Requests[0].Options) { MaxTokens = 3000 } });
        Assert.True(await call.ResponseStream.MoveNext());
        ChildProcess silo = cluster.Silos["silo-0"];
        Assert.Equal(0, await silo.StopAsync(Limit));
        Assert.Contains("No other silo has room for", silo.Errors);

        // Without experts it goes on waiting.
        Task<int> stopped = gateway.Process.StopAsync(Limit);
        RpcException ended = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(call.ResponseStream.ReadAllAsync()));
        Assert.Equal((StatusCode.Unavailable, "stopping"), (ended.StatusCode, ended.Trailers.GetValue("k2-error-code")));
        Assert.Equal(0, await stopped);
        Assert.Contains("--drain-timeout", gateway.Process.Errors);
    }

    /// <summary>The events of one answer, but for what depends on the gateway: the name and the seed that it gives the request, what its cache had.</summary>
    private static List<string> Answer(List<GenerateEvent> events, uint choice)
    {
        List<string> answer = [];
        foreach (GenerateEvent item in events.Where(item => item.Choice == choice))
        {
            GenerateEvent same = item.Clone();
            if (same.Started is not null)
                (same.Started.RequestId, same.Started.Seed) = ("", 0);
            if (same.Finished is not null)
                same.Finished.Usage.CachedTokens = 0;
            answer.Add(same.ToString());
        }

        return answer;
    }

    /// <summary>gRPC generations that a gateway has ended.</summary>
    private static async Task<int> ServedAsync(GatewayProcess gateway) =>
        (await gateway.Http.GetStringAsync("/metrics")).Split('\n')
            .Where(line => line.StartsWith("k2_requests_total{", StringComparison.Ordinal) && line.Contains("grpc.generate", StringComparison.Ordinal))
            .Sum(line => int.Parse(line[(line.IndexOf('}', StringComparison.Ordinal) + 2)..].Split(' ')[0]));

    private static async Task<List<GenerateEvent>> ReadAsync(IAsyncEnumerable<GenerateEvent> stream, Action<int>? onEvent = null)
    {
        List<GenerateEvent> events = [];
        await foreach (GenerateEvent item in stream)
        {
            events.Add(item);
            onEvent?.Invoke(events.Count);
        }

        return events;
    }
}
