using System.Text.Json;
using System.Text.Json.Nodes;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>Hundreds of clients at once, and thousands that come and go, on a KV memory that holds few of them.</summary>
public sealed class LoadTests : IAsyncLifetime
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    private static readonly string[] KvMemory = ["--kv-memory", "16MiB"];

    /// <summary>What 16 MiB hold: 5 layers × 64 tokens × (64 + 16) values of 2 bytes a page.</summary>
    private const int KvPages = (16 << 20) / (5 * 64 * 80 * 2);

    private GatewayProcess? _gateway;

    private HttpClient Http => _gateway!.Http;

    public async Task InitializeAsync() => _gateway = await GatewayProcess.StartReadyAsync(Programs.Nano, KvMemory);

    public async Task DisposeAsync() => await _gateway!.DisposeAsync();

    [Fact]
    [Trait("Category", "Slow")]
    public async Task Hundreds_of_streams_at_once_end_with_the_tokens_that_each_gives_alone()
    {
        int count = Long.IsAskedFor ? 500 : 120;
        Task<int[]>[] streams = [.. Enumerable.Range(0, count).Select(StreamAsync)];
        int[][] tokens = await Task.WhenAll(streams);

        for (int i = 0; i < count; i += 50)
            Assert.Equal((await Http.PostAsync("/v1/chat/completions", Body(i))).TokenIds(), tokens[i]);
        await AssertNothingIsHeldAsync();
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task Thousands_of_short_requests_of_which_many_are_given_up_leave_nothing_behind()
    {
        int requests = Long.IsAskedFor ? 10_000 : 1_500;
        const int AtOnce = 100;
        Random random = new(7);
        int[] patience = [.. Enumerable.Range(0, requests).Select(_ => random.Next(3) == 0 ? random.Next(1, 60) : Timeout.Infinite)];
        int answered = 0;
        int next = -1;
        await Task.WhenAll(Enumerable.Range(0, AtOnce).Select(async _ =>
        {
            for (int i = Interlocked.Increment(ref next); i < requests; i = Interlocked.Increment(ref next))
            {
                using CancellationTokenSource givesUp = new();
                if (patience[i] != Timeout.Infinite)
                    givesUp.CancelAfter(patience[i]);
                if (await ShortAsync(i, givesUp.Token))
                    Interlocked.Increment(ref answered);
            }
        }));

        Assert.InRange(answered, patience.Count(p => p == Timeout.Infinite), requests);
        await AssertNothingIsHeldAsync();
    }

    private async Task<bool> ShortAsync(int i, CancellationToken cancellation)
    {
        JsonObject body = new() { ["prompt"] = $"Spell the word {i % 97}", ["max_tokens"] = 1 + (i % 5), ["ignore_eos"] = true, ["seed"] = i };
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/completions") { Content = new StringContent(body.ToJsonString(), System.Text.Encoding.UTF8, "application/json") };
        try
        {
            using HttpResponseMessage response = await Http.SendAsync(request, cancellation);
            string text = await response.Content.ReadAsStringAsync(cancellation);
            Assert.True(response.IsSuccessStatusCode, text);
            Assert.Equal(1 + (i % 5), JsonDocument.Parse(text).RootElement.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
            return true;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return false;
        }
    }

    private async Task<int[]> StreamAsync(int i)
    {
        List<JsonElement> chunks = await Http.PostStreamAsync("/v1/chat/completions", Body(i));
        JsonElement[] choices = [.. chunks.Select(chunk => chunk.GetProperty("choices")).Where(choices => choices.GetArrayLength() > 0).Select(choices => choices[0])];
        Assert.Contains(choices, choice => choice.GetProperty("finish_reason").ValueKind == JsonValueKind.String);
        return [.. choices.Where(choice => choice.TryGetProperty("token_ids", out JsonElement ids) && ids.ValueKind == JsonValueKind.Array).SelectMany(choice => choice.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32()))];
    }

    private static JsonObject Body(int i)
    {
        JsonObject body = OpenAiClient.GreedyChat($"What is {i} + {(7 * i) % 500}?", maxTokens: 60);
        body["temperature"] = i % 2;
        body["seed"] = i;
        return body;
    }

    private async Task AssertNothingIsHeldAsync()
    {
        await Eventually.TrueAsync(Limit, async () => await MetricAsync("k2_requests_active") == 0);
        await Eventually.TrueAsync(Limit, async () => await MetricAsync("k2_kv_pages", "state=\"used\"") == 0);
        Assert.Equal(KvPages, await MetricAsync("k2_kv_pages"));
    }

    private async Task<double> MetricAsync(string name, string tag = "")
    {
        string metrics = await Http.GetStringAsync("/metrics");
        return metrics.Split('\n').Where(line => line.StartsWith(name, StringComparison.Ordinal) && line.Contains(tag, StringComparison.Ordinal)).Sum(line => double.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture));
    }
}
