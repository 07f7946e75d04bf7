using System.Text.Json;
using System.Text.Json.Nodes;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests.Telemetry;

/// <summary>What an operator sees: one trace from the HTTP request to the shard, and a dashboard whose every query has data.</summary>
public sealed class TelemetryTests
{
    private const string TraceId = "4bf92f3577b34da6a3ce929d0e0e4736";

    [Fact]
    public async Task One_trace_goes_from_the_http_request_to_the_shard_of_another_process()
    {
        using TraceReceiver receiver = new();
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 1, environment: receiver.Environment);
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/chat/completions") { Content = JsonContent(OpenAiClient.GreedyChat("Hello", 3)) };
        request.Headers.Add("traceparent", $"00-{TraceId}-00f067aa0ba902b7-01");
        using HttpResponseMessage response = await cluster.Gateway.Http.SendAsync(request);
        Assert.True(response.IsSuccessStatusCode);

        await UntilAsync(() => Task.FromResult(Shards().Any()));
        TraceReceiver.Span span = Shards().First();
        Assert.Contains("k2-silo", span.Resource);
        HashSet<string> names = [];
        while (span.ParentId.Length > 0 && receiver.Spans.FirstOrDefault(other => other.SpanId == span.ParentId) is { } parent)
        {
            span = parent;
            names.Add(span.Name);
        }

        Assert.Contains("k2.request", names);
        Assert.Equal("00f067aa0ba902b7", span.ParentId);

        IEnumerable<TraceReceiver.Span> Shards() => receiver.Spans.Where(other => other.TraceId == TraceId && other.Name == "k2.shard.forward");
    }

    [Fact]
    [Trait("Category", "Prometheus")]
    public async Task Every_query_of_the_dashboard_has_data_from_a_real_gateway_and_two_silos()
    {
        int[] ports = [Programs.FreePort(), Programs.FreePort()];
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 0 + 1);
        cluster.LaunchSilo("metered-0", "--http", $"http://127.0.0.1:{ports[0]}");
        cluster.LaunchSilo("metered-1", "--http", $"http://127.0.0.1:{ports[1]}");
        await cluster.Silos["silo-0"].StopAsync();
        await UntilAsync(async () => (await cluster.Gateway.Http.GetAsync("/readyz")).IsSuccessStatusCode);

        (ChildProcess prometheus, int port) = await DebianServer.StartPrometheusAsync($"""
            global: {"{"} scrape_interval: 1s {"}"}
            scrape_configs:
              - job_name: gateway
                static_configs: [{"{"} targets: ["127.0.0.1:{cluster.Gateway.Http.BaseAddress!.Port}"] {"}"}]
              - job_name: silo
                static_configs: [{"{"} targets: ["127.0.0.1:{ports[0]}", "127.0.0.1:{ports[1]}"] {"}"}]
            """);
        await using ChildProcess server = prometheus;
        using HttpClient http = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}") };

        string[] queries = [.. DashboardQueries.Read("10s").Select(panel => panel.Query).Distinct()];
        Assert.NotEmpty(queries);
        List<string> empty = [.. queries];
        await UntilAsync(async () =>
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

    private static async Task<bool> HasDataAsync(HttpClient prometheus, string query)
    {
        using HttpResponseMessage response = await prometheus.GetAsync("/api/v1/query?query=" + Uri.EscapeDataString(query));
        string text = await response.Content.ReadAsStringAsync();
        JsonElement root = JsonDocument.Parse(text).RootElement;
        Assert.True(root.GetProperty("status").GetString() == "success", $"{query}: {text}");
        return root.GetProperty("data").GetProperty("result").EnumerateArray().Any(series => series.GetProperty("value")[1].GetString() != "NaN");
    }

    private static StringContent JsonContent(JsonObject body) => new(body.ToJsonString(), System.Text.Encoding.UTF8, "application/json");

    private static async Task UntilAsync(Func<Task<bool>> condition, Func<string>? explain = null)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(250));
        try
        {
            while (!await condition())
                await timer.WaitForNextTickAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException(explain?.Invoke() ?? "The condition did not come true in 60 s.");
        }
    }
}
