using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>A client that goes away takes its work with it.</summary>
public sealed class DisconnectTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
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

    private async Task MetricAsync(Func<double, bool> condition)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(20));
        using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(50));
        while (!condition(await ActiveRequestsAsync(limit.Token)))
            await timer.WaitForNextTickAsync(limit.Token);
    }

    private async Task<double> ActiveRequestsAsync(CancellationToken cancellationToken)
    {
        string metrics = await embedded.Http.GetStringAsync("/metrics", cancellationToken);
        return metrics.Split('\n').Where(line => line.StartsWith("k2_requests_active", StringComparison.Ordinal)).Sum(line => double.Parse(line.Split(' ')[1]));
    }
}
