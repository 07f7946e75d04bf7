using System.Text.Json;
using System.Text.Json.Nodes;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests.Telemetry;

/// <summary>What an operator sees: one trace from the HTTP request to the shard, and a dashboard whose every query has data.</summary>
public sealed class TelemetryTests
{
    private const string TraceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    private const string CallerSpanId = "00f067aa0ba902b7";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task One_trace_goes_from_the_http_request_to_the_shard_of_another_process()
    {
        using TraceReceiver receiver = new();
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 1, environment: receiver.Environment);
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent(OpenAiClient.GreedyChat("Hello", 3)) };
        request.Headers.Add("traceparent", $"00-{TraceId}-{CallerSpanId}-01");
        using HttpResponseMessage response = await cluster.Gateway.Http.SendAsync(request);
        Assert.True(response.IsSuccessStatusCode);

        // A parent ends, and is sent, after its children: wait for the whole chain.
        List<TraceReceiver.Span> chain = [];
        await Eventually.TrueAsync(Limit, () =>
        {
            chain = Chain(receiver.Spans);
            return Task.FromResult(chain.Count > 0 && chain[^1].ParentId == CallerSpanId);
        }, () => "The chain ends early: " + string.Join(" < ", chain.Select(span => span.Name)));
        Assert.Contains("k2-silo", chain[0].Resource);
        Assert.Contains("k2-gateway", chain[^1].Resource);
        Assert.Contains(chain, span => span.Name == "k2.request");
    }

    [ServerFact("prometheus")]
    public async Task Every_query_of_the_dashboard_has_data_from_a_real_gateway_and_two_silos()
    {
        int[] ports = [FreePort.Next(), FreePort.Next()];
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 2, siloOptions: i => ["--http", $"http://127.0.0.1:{ports[i]}"]);
        string configuration = (await File.ReadAllTextAsync(Repository.Path("deploy", "prometheus.yml")))
            .Replace("scrape_interval: 5s", "scrape_interval: 1s")
            .Replace("gateway:8080", $"127.0.0.1:{cluster.Gateway.Http.BaseAddress!.Port}")
            .Replace("silo-1:8080", $"127.0.0.1:{ports[0]}")
            .Replace("silo-2:8080", $"127.0.0.1:{ports[1]}");
        (ChildProcess prometheus, int port) = await DebianServer.StartPrometheusAsync(configuration);
        await using ChildProcess server = prometheus;
        using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}") };

        string[] queries = [.. DashboardQueries.Read("10s").Select(panel => panel.Query).Distinct()];
        Assert.NotEmpty(queries);
        List<string> empty = [.. queries];
        await Eventually.TrueAsync(Limit, async () =>
        {
            await cluster.Gateway.Http.PostAsync("/v1/chat/completions", OpenAiClient.GreedyChat("What is 12 + 30?"));
            for (int i = empty.Count - 1; i >= 0; i--)
            {
                if (await HasDataAsync(http, empty[i]))
                    empty.RemoveAt(i);
            }

            return empty.Count == 0;
        }, () => "No data for:\n" + string.Join('\n', empty));
    }

    /// <summary>From a shard's call up to the span that has no parent here.</summary>
    private static List<TraceReceiver.Span> Chain(IReadOnlyCollection<TraceReceiver.Span> spans)
    {
        List<TraceReceiver.Span> chain = [];
        for (TraceReceiver.Span? span = spans.FirstOrDefault(other => other.TraceId == TraceId && other.Name == "k2.shard.forward"); span is not null;)
        {
            chain.Add(span);
            string parent = span.ParentId;
            span = spans.FirstOrDefault(other => other.SpanId == parent);
        }

        return chain;
    }

    private static async Task<bool> HasDataAsync(HttpClient prometheus, string query)
    {
        using HttpResponseMessage response = await prometheus.GetAsync("/api/v1/query?query=" + Uri.EscapeDataString(query));
        string text = await response.Content.ReadAsStringAsync();
        JsonElement root = JsonDocument.Parse(text).RootElement;
        Assert.True(root.GetProperty("status").GetString() == "success", $"{query}: {text}");
        return root.GetProperty("data").GetProperty("result").EnumerateArray().Any(series => series.GetProperty("value")[1].GetString() != "NaN");
    }

    private static StringContent JsonContent(JsonObject body) => new(body.ToJsonString(), System.Text.Encoding.UTF8, "application/json");
}
