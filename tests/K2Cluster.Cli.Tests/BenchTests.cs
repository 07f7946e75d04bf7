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
        Assert.Null(Request(0, [30], 40, 1).PerOutputToken);
        Assert.Equal(TimeSpan.FromMilliseconds(10), Request(0, [30, 50, 70], 80, 5).PerOutputToken);
        Assert.Equal([20, 30], Request(0, [30, 50, 80], 80, 5).BetweenPieces.Select(time => time.TotalMilliseconds));
    }

    [Fact]
    public void The_report_has_every_line_that_vllm_prints_in_its_order()
    {
        MeasuredRequest[] measured = [Request(0, [100, 200, 300], 350, 3), Request(50, [200, 400], 500, 4), Request(1000, [500], 600, 1)];
        BenchReport report = BenchReport.Of(Options with { RequestRate = 2.5 }, "k2-nano", measured, failed: 3, TimeSpan.FromSeconds(2), MachineFacts.Read());

        string[] expected =
        [
            "============ Serving Benchmark Result ============",
            "Successful requests:                     3         ",
            "Failed requests:                         3         ",
            "Maximum request concurrency:             3         ",
            "Request rate configured (RPS):           2.50      ",
            "Benchmark duration (s):                  2.00      ",
            "Total input tokens:                      21        ",
            "Total generated tokens:                  8         ",
            "Request throughput (req/s):              1.50      ",
            "Output token throughput (tok/s):         4.00      ",
            "Peak output token throughput (tok/s):    7.00      ",
            "Peak concurrent requests:                2.00      ",
            "Total token throughput (tok/s):          14.50     ",
            "---------------Time to First Token----------------",
            "Mean TTFT (ms):                          266.67    ",
            "Median TTFT (ms):                        200.00    ",
            "P99 TTFT (ms):                           494.00    ",
            "-----Time per Output Token (excl. 1st token)------",
            "Mean TPOT (ms):                          83.33     ",
            "Median TPOT (ms):                        83.33     ",
            "P99 TPOT (ms):                           99.67     ",
            "---------------Inter-token Latency----------------",
            "Mean ITL (ms):                           133.33    ",
            "Median ITL (ms):                         100.00    ",
            "P99 ITL (ms):                            198.00    ",
            "----------------End-to-end Latency----------------",
            "Mean E2EL (ms):                          483.33    ",
            "Median E2EL (ms):                        500.00    ",
            "P99 E2EL (ms):                           598.00    ",
            "==================================================",
            "",
        ];
        Assert.Equal(expected, BenchSummary.Of(report).Split('\n'));
    }

    [Fact]
    public void Arrivals_are_a_Poisson_process_of_the_rate_and_the_same_for_a_seed()
    {
        Assert.All(Arrivals.Of(5, null, 1), arrival => Assert.Equal(TimeSpan.Zero, arrival));

        TimeSpan[] arrivals = Arrivals.Of(20_001, 50, 1);

        Assert.Equal(arrivals, Arrivals.Of(20_001, 50, 1));
        Assert.NotEqual(arrivals, Arrivals.Of(20_001, 50, 2));
        double[] gaps = [.. arrivals.Skip(1).Zip(arrivals, (next, arrival) => (next - arrival).TotalSeconds)];
        Assert.All(gaps, gap => Assert.True(gap >= 0));
        Assert.Equal(0.02, gaps.Average(), 0.001);
        // Of an exponential distribution: the deviation is the mean.
        Assert.Equal(0.02, Math.Sqrt(gaps.Average(gap => (gap - 0.02) * (gap - 0.02))), 0.001);
    }

    [Fact]
    public async Task Random_prompts_have_the_asked_length_and_differ()
    {
        FakeGateway gateway = new(_ => Stream(pieces: 1, tokens: 1));
        using HttpClient http = gateway.CreateClient();

        await new Bench(http, Options with { InputLength = 20, RequestRate = 10_000 }).RunAsync(() => { }, default);

        Assert.All(gateway.Bodies, body => Assert.Equal(20, body["prompt"]!.AsArray().Count));
        Assert.All(gateway.Bodies, body => Assert.True((bool?)body["return_token_ids"]));
        Assert.Equal(7, gateway.Bodies.Select(body => body["prompt"]!.ToJsonString()).Distinct().Count());
    }

    private static MeasuredRequest Request(double sent, double[] pieces, double ended, int tokens) => new(
        TimeSpan.FromMilliseconds(sent), [.. pieces.Select(TimeSpan.FromMilliseconds)], TimeSpan.FromMilliseconds(ended), 7, tokens);

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
