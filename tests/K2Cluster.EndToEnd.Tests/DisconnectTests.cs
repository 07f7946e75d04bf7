using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using K2Cluster.EndToEnd.Tests.Processes;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>A client that goes away takes its work with it.</summary>
public sealed class DisconnectTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_client_that_disconnects_cancels_its_work(bool stream)
    {
        JsonObject body = new() { ["prompt"] = "Hello", ["max_tokens"] = 30_000, ["ignore_eos"] = true, ["stream"] = stream };
        using CancellationTokenSource goes = new();
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/completions") { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, new MediaTypeHeaderValue("application/json")) };
        Task<HttpResponseMessage> response = embedded.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, goes.Token);
        await MetricAsync(active => active == 1);
        await goes.CancelAsync();
        try
        {
            (await response).Dispose();
        }
        catch (OperationCanceledException)
        {
        }

        await MetricAsync(active => active == 0);
    }

    private Task MetricAsync(Func<double, bool> condition) => Eventually.TrueAsync(Limit, async () => condition(await ActiveRequestsAsync()));

    private async Task<double> ActiveRequestsAsync()
    {
        string metrics = await embedded.Http.GetStringAsync("/metrics");
        return metrics.Split('\n').Where(line => line.StartsWith("k2_requests_active", StringComparison.Ordinal)).Sum(line => double.Parse(line.Split(' ')[1]));
    }
}
