using System.Net;
using System.Text;
using System.Text.Json.Nodes;

namespace K2Cluster.Cli.Tests;

public sealed class BenchTests
{
    private static readonly BenchOptions Options = new(new Uri("http://gateway"), Requests: 6, Concurrency: 3, MaxTokens: 5, Prompt: "Hi");

    [Theory]
    [InlineData(new double[] { 7 }, 7, 7, 7)]
    [InlineData(new double[] { 1, 2 }, 1.5, 1.5, 1.99)]
    [InlineData(new double[] { 5, 1, 3, 2, 4 }, 3, 3, 4.96)]
    [InlineData(new double[] { 10, 0, 0, 0 }, 2.5, 0, 9.7)]
    public void Percentiles_are_interpolated_between_neighbours(double[] values, double mean, double p50, double p99)
    {
        Spread spread = Spread.Of(values);

        Assert.Equal(mean, spread.Mean, 1e-9);
        Assert.Equal(p50, spread.P50, 1e-9);
        Assert.Equal(p99, spread.P99, 1e-9);
    }

    [Fact]
    public async Task All_requests_are_sent_with_equal_lengths_and_their_tokens_counted()
    {
        FakeGateway gateway = new(_ => Stream(pieces: 5, tokens: 5));
        using HttpClient http = gateway.CreateClient();
        int progress = 0;
        Bench bench = new(http, Options);

        BenchReport report = await bench.RunAsync(() => Interlocked.Increment(ref progress), default);

        Assert.Equal(6, progress);
        Assert.Equal(7, gateway.Bodies.Count);
        Assert.All(gateway.Bodies.Skip(1), body =>
        {
            Assert.True((bool)body["ignore_eos"]!);
            Assert.True((bool)body["stream"]!);
            Assert.Equal(5, (int)body["max_tokens"]!);
            Assert.Equal("k2-nano", (string)body["model"]!);
            Assert.Equal("Hi", (string)body["prompt"]!);
        });
        Assert.Equal(0, report.Failed);
        Assert.Equal(30, report.OutputTokens);
        Assert.Equal(18, report.PromptTokens);
        Assert.NotNull(report.TimeToFirstTokenMs);
        Assert.Equal(report.OutputTokens / report.Seconds, report.OutputTokensPerSecond, 1e-6);
        JsonNode json = JsonNode.Parse(report.ToJson())!;
        Assert.Equal(30, (long)json["output_tokens"]!);
        Assert.Equal(report.TimeToFirstTokenMs.P99, (double)json["time_to_first_token_ms"]!["p99"]!);
    }

    [Fact]
    public async Task A_request_that_fails_is_counted_and_its_reason_kept()
    {
        int sent = 0;
        FakeGateway gateway = new(_ => Interlocked.Increment(ref sent) % 2 == 1
            ? Stream(pieces: 5, tokens: 5)
            : new HttpResponseMessage(HttpStatusCode.ServiceUnavailable) { Content = new StringContent("""{"error":{"message":"The queue is full."}}""") });
        using HttpClient http = gateway.CreateClient();
        Bench bench = new(http, Options);

        BenchReport report = await bench.RunAsync(() => { }, default);

        Assert.Equal(3, report.Failed);
        Assert.Equal(15, report.OutputTokens);
        Assert.Equal("The gateway answered 503: The queue is full.", bench.FirstFailure);
    }

    [Theory]
    [InlineData("data: [DONE]\n\n", "without a token")]
    [InlineData("data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: [DONE]\n\n", "without its usage")]
    [InlineData("data: {\"error\":{\"message\":\"A shard is gone.\"}}\n\n", "A shard is gone.")]
    public async Task A_stream_that_is_not_complete_is_not_counted(string stream, string reason)
    {
        FakeGateway gateway = new(_ => new HttpResponseMessage { Content = new StringContent(stream) });
        using HttpClient http = gateway.CreateClient();

        CommandException failure = await Assert.ThrowsAsync<CommandException>(() => new Bench(http, Options).RunAsync(() => { }, default));

        Assert.Contains(reason, failure.Message);
    }

    [Fact]
    public void One_token_has_no_time_per_further_token()
    {
        TimeSpan first = TimeSpan.FromMilliseconds(30);

        Assert.Null(new MeasuredRequest(first, first, 1, 1).PerOutputToken);
        Assert.Equal(TimeSpan.FromMilliseconds(10), new MeasuredRequest(first, TimeSpan.FromMilliseconds(70), 1, 5).PerOutputToken);
    }

    private static HttpResponseMessage Stream(int pieces, int tokens)
    {
        StringBuilder stream = new();
        for (int i = 0; i < pieces; i++)
            stream.Append("data: {\"choices\":[{\"text\":\"a\",\"index\":0}]}\n\n");
        stream.Append($"data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":{tokens}}}}}\n\ndata: [DONE]\n\n");
        return new HttpResponseMessage { Content = new StringContent(stream.ToString()) };
    }

    private sealed class FakeGateway(Func<JsonNode, HttpResponseMessage> answer) : HttpMessageHandler
    {
        public List<JsonNode> Bodies { get; } = [];

        public HttpClient CreateClient() => new(this) { BaseAddress = Options.Url };

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (request.Method == HttpMethod.Get)
                return new HttpResponseMessage { Content = new StringContent("""{"object":"list","data":[{"id":"k2-nano"}]}""") };
            JsonNode body = JsonNode.Parse(await request.Content!.ReadAsStringAsync(cancellationToken))!;
            lock (Bodies)
                Bodies.Add(body);
            return answer(body);
        }
    }
}
