using System.Net.Http.Headers;
using K2Cluster.Tests;

namespace K2Cluster.Gateway.Tests;

public sealed class HostileTests
{
    private const int Count = 1500;

    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task Whatever_comes_is_answered_rightly_or_refused_in_OpenAIs_shape()
    {
        MadeUpEngine engine = new();
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        HostileBodies bodies = new(seed: 4, GatewayHost.Model, engine.VocabularySize, engine.MaxContext);
        List<string> complaints = [];
        Dictionary<int, int> statuses = [];

        foreach (HostileRequest request in bodies.Generate().Take(Count))
        {
            (int status, string? complaint) = await SendAsync(host, request);
            statuses[status] = statuses.GetValueOrDefault(status) + 1;
            if (complaint is not null)
                complaints.Add($"{request.Method} {request.Path}, {request.What}: {complaint}");
        }

        Assert.Empty(complaints);
        // The generator does its work: most are refused, some are fine after all.
        Assert.InRange(statuses.GetValueOrDefault(200), Count / 20, Count / 2);
        Assert.InRange(statuses.GetValueOrDefault(400), Count / 4, Count);
        Assert.Superset(new HashSet<int> { 200, 400, 404, 405, 415 }, statuses.Keys.ToHashSet());
    }

    [Fact]
    public void The_same_seed_gives_the_same_bodies()
    {
        static IEnumerable<string> Made(int seed) => new HostileBodies(seed, "m", 100, 100).Generate().Take(100).Select(request => request.What + request.Body.Length);

        Assert.Equal(Made(7), Made(7));
        Assert.NotEqual(Made(7), Made(8));
    }

    [Theory]
    [InlineData(500, "application/json", """{"error":{"message":"m","type":"t","param":null,"code":null}}""")]
    [InlineData(400, "application/json", """{"error":"m"}""")]
    [InlineData(400, "application/json", """{"error":{"message":"","type":"t","param":null,"code":null}}""")]
    [InlineData(404, "text/html", "<html>")]
    [InlineData(200, "application/json", """{"choices":[{"finish_reason":null}],"usage":{"completion_tokens":1}}""")]
    [InlineData(200, "text/event-stream", "data: {}\n\n")]
    [InlineData(200, "text/event-stream", "data: {\"choices\":[{\"index\":0,\"finish_reason\":null}]}\n\ndata: [DONE]\n\n")]
    public void The_judge_finds_wrong_answers(int status, string mediaType, string body)
    {
        HostileRequest request = new("/v1/completions", "POST", null, [], "");
        Assert.NotNull(HostileAnswers.Complaint(request, status, mediaType, body));
    }

    private static async Task<(int Status, string? Complaint)> SendAsync(GatewayHost host, HostileRequest request)
    {
        using HttpRequestMessage message = request.ToMessage();
        using CancellationTokenSource limit = new(Longest);
        try
        {
            using HttpResponseMessage response = await host.Http.SendAsync(message, limit.Token);
            string body = await response.Content.ReadAsStringAsync(limit.Token);
            MediaTypeHeaderValue? type = response.Content.Headers.ContentType;
            return ((int)response.StatusCode, HostileAnswers.Complaint(request, (int)response.StatusCode, type?.MediaType, body));
        }
        catch (OperationCanceledException)
        {
            return (0, $"no answer in {Longest.TotalSeconds} s");
        }
    }
}
