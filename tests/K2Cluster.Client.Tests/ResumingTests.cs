using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Client.Tests;

public sealed class ResumingTests
{
    private static readonly RpcException Gone = new(new Status(StatusCode.Unavailable, "gone", new IOException("reset")));

    private readonly ImmediateTime _time = new();

    public static TheoryData<uint, bool> Shapes => new() { { 1, true }, { 1, false }, { 3, true } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public async Task An_answer_is_the_same_wherever_gateways_die(uint n, bool tokens)
    {
        GenerateRequest request = new() { Text = "x", Options = new GenerationOptions { Seed = 5, N = n, ReturnTokenIds = tokens } };
        List<GenerateEvent> whole = await ReadAsync(Client(new MadeUpGateway()).GenerateAsync(request));
        int events = (await ReadAsync(Client(new MadeUpGateway()).GenerateAsync(new GenerateRequest(request) { Options = new GenerationOptions(request.Options) { ReturnTokenIds = true } }))).Count;
        Assert.Equal(n, (uint)whole.Count(item => item.Finished is not null));
        Assert.Equal(tokens, whole.Any(item => item.TokenIds.Count > 0));

        for (int first = 0; first < events; first++)
        {
            // The second one dies soon after, amid what it says again or the token after.
            for (int second = 0; second < 4; second++)
            {
                MadeUpGateway dies = new() { Failures = { (first, Gone), (0, Gone) } };
                MadeUpGateway diesToo = new() { Failures = { (second, Gone), (second, Gone) } };
                List<GenerateEvent> resumed = await ReadAsync(Client(dies, diesToo).GenerateAsync(request));
                for (uint choice = 0; choice < n; choice++)
                    Assert.Equal(Of(choice, whole), Of(choice, resumed));
                Assert.Single(resumed, item => item.Started is not null);
            }
        }
    }

    [Fact]
    public async Task A_drawn_seed_is_kept_and_the_request_is_not_changed()
    {
        MadeUpGateway dies = new() { Failures = { (4, Gone) } };
        MadeUpGateway lives = new();
        ChatRequest request = new() { Conversation = new Conversation { Messages = { new ChatMessage { Role = "user", Content = "Hi" } } } };
        ChatRequest before = request.Clone();
        List<ChatEvent> events = await ReadAsync(Client(dies, lives).ChatAsync(request));

        Assert.Equal(before, request);
        GenerateRequest asked = Assert.Single(lives.Requests);
        Assert.Equal((events[0].Started.Seed, true), (asked.Options.Seed, asked.Options.ReturnTokenIds));
        Assert.Equal([40000u, 40001u], asked.Generated.Ids);
        Assert.Equal("40001.0 40002.0 40002.1 40004.0 40005.0 40005.1 ", string.Concat(events.Select(item => item.Content)));
        Assert.All(events, item => Assert.Empty(item.TokenIds));
        Assert.Empty(events[0].Started.PromptTokenIds);
    }

    [Fact]
    public async Task What_has_not_begun_is_asked_again_as_it_was()
    {
        MadeUpGateway drains = new() { Failures = { (0, new RpcException(new Status(StatusCode.Unavailable, "drains"))) } };
        MadeUpGateway lives = new();
        using K2Client client = Client(drains, lives);
        await ReadAsync(client.GenerateAsync(Request()));
        Assert.Null(Assert.Single(lives.Requests).Generated);
        Assert.Empty(_time.Waits);

        // What comes later goes where it was answered.
        await ReadAsync(client.GenerateAsync(Request()));
        Assert.Equal((1, 2), (drains.Requests.Count, lives.Requests.Count));
    }

    [Fact]
    public async Task A_caller_s_own_resumption_goes_on_elsewhere_too()
    {
        MadeUpGateway dies = new() { Failures = { (2, Gone) } };
        MadeUpGateway lives = new();
        GenerateRequest request = new() { Text = "x", Generated = new TokenIds { Ids = { 5200, 5201 } }, Choice = 2, Options = new GenerationOptions { Seed = 5, N = 3, ReturnTokenIds = true } };
        List<GenerateEvent> events = await ReadAsync(Client(dies, lives).GenerateAsync(request));

        Assert.Equal([5202u, 5203u, 5204u, 5205u], events.SelectMany(item => item.TokenIds));
        Assert.Equal([5200u, 5201u], Assert.Single(lives.Requests).Generated.Ids);
    }

    [Theory]
    [InlineData(StatusCode.InvalidArgument, false)]
    [InlineData(StatusCode.NotFound, false)]
    [InlineData(StatusCode.DeadlineExceeded, false)]
    [InlineData(StatusCode.Internal, false)]
    [InlineData(StatusCode.Internal, true)]
    [InlineData(StatusCode.Unknown, true)]
    [InlineData(StatusCode.Cancelled, false)]
    [InlineData(StatusCode.ResourceExhausted, false)]
    public async Task Only_a_gateway_s_own_failure_is_taken_elsewhere(StatusCode code, bool isOfTheChannel)
    {
        RpcException error = new(new Status(code, "x", isOfTheChannel ? new IOException("reset") : null));
        MadeUpGateway fails = new() { Failures = { (4, error) } };
        MadeUpGateway other = new();
        Task<List<GenerateEvent>> reading = ReadAsync(Client(fails, other).GenerateAsync(Request()));
        if (isOfTheChannel || code is StatusCode.Cancelled or StatusCode.ResourceExhausted)
            Assert.NotNull((await reading)[^1].Finished);
        else
        {
            Assert.Same(error, await Assert.ThrowsAsync<RpcException>(() => reading));
            Assert.Empty(other.Requests);
        }
    }

    [Fact]
    public async Task A_gateway_that_cannot_resume_is_passed_over()
    {
        MadeUpGateway dies = new() { Failures = { (4, Gone) } };
        MadeUpGateway old = new() { Failures = { (0, new RpcException(new Status(StatusCode.Unimplemented, "old"))) } };
        MadeUpGateway lives = new();
        Assert.NotNull((await ReadAsync(Client(dies, old, lives).GenerateAsync(Request())))[^1].Finished);
        Assert.Single(lives.Requests);
    }

    [Fact]
    public async Task Full_everywhere_is_told_at_once_to_whoever_has_not_begun()
    {
        RpcException full = new(new Status(StatusCode.ResourceExhausted, "full"));
        MadeUpGateway[] gateways = [new() { Failures = { (0, full) } }, new() { Failures = { (0, full) } }];
        Assert.Same(full, await Assert.ThrowsAsync<RpcException>(() => ReadAsync(Client(gateways).GenerateAsync(Request()))));
        Assert.All(gateways, gateway => Assert.Single(gateway.Requests));
        Assert.Empty(_time.Waits);
    }

    [Fact]
    public async Task It_tries_for_as_long_as_it_is_told_with_pauses_that_grow_and_each_gateway_once_at_least()
    {
        MadeUpGateway[] gateways = [new(), new()];
        foreach (MadeUpGateway gateway in gateways)
        {
            for (int i = 0; i < 100; i++)
                gateway.Failures.Add((0, Gone));
        }

        using K2Client patient = new(gateways, new K2ClientOptions { StartPatience = TimeSpan.FromSeconds(10), Time = _time });
        await Assert.ThrowsAsync<RpcException>(() => ReadAsync(patient.GenerateAsync(Request())));
        Assert.Equal(10, _time.Waits.Sum(wait => wait.TotalSeconds), 0.001);
        Assert.InRange(gateways[0].Requests.Count, 8, 20);
        Assert.All(_time.Waits, wait => Assert.InRange(wait, TimeSpan.Zero, TimeSpan.FromSeconds(2)));

        int before = gateways.Sum(gateway => gateway.Requests.Count);
        using K2Client hasty = new(gateways, new K2ClientOptions { StartPatience = TimeSpan.Zero, Time = _time });
        await Assert.ThrowsAsync<RpcException>(() => ReadAsync(hasty.GenerateAsync(Request())));
        Assert.Equal(before + 2, gateways.Sum(gateway => gateway.Requests.Count));

        DateTime deadline = _time.GetUtcNow().UtcDateTime.AddSeconds(3);
        await Assert.ThrowsAsync<RpcException>(() => ReadAsync(patient.GenerateAsync(Request(), deadline)));
        Assert.Equal(deadline, _time.GetUtcNow().UtcDateTime, TimeSpan.FromMilliseconds(1));
        Assert.Equal(deadline, gateways[0].Options[^1].Deadline);
    }

    [Fact]
    public async Task A_request_of_which_every_gateway_dies_is_given_up()
    {
        MadeUpGateway[] gateways = [new(), new()];
        foreach (MadeUpGateway gateway in gateways)
        {
            // Of the third token: the resumed ones say the second again, then die, too.
            gateway.Failures.Add((gateway == gateways[0] ? 3 : 2, Gone));
            for (int i = 0; i < 200; i++)
                gateway.Failures.Add((2, Gone));
        }

        await Assert.ThrowsAsync<RpcException>(() => ReadAsync(Client(gateways).GenerateAsync(Request())));
        Assert.Equal(60, _time.Waits.Sum(wait => wait.TotalSeconds), 0.001);
        Assert.InRange(gateways[0].Requests.Count, 30, 90);
    }

    [Fact]
    public async Task Another_model_s_tokens_are_not_passed_off_as_the_same_answer()
    {
        MadeUpGateway dies = new() { Failures = { (2, Gone) } };
        MadeUpGateway other = new() { Differs = 1 };
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(Client(dies, other).GenerateAsync(Request())));
        Assert.Equal(StatusCode.DataLoss, error.StatusCode);
    }

    [Fact]
    public async Task Cancelling_ends_the_reading_and_the_pauses()
    {
        using CancellationTokenSource cancel = new();
        MadeUpGateway gateway = new();
        using K2Client client = Client(gateway);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (GenerateEvent _ in client.GenerateAsync(Request(), cancellationToken: cancel.Token))
                await cancel.CancelAsync();
        });
        Assert.Single(gateway.Requests);
    }

    [Fact]
    public void Wrong_addresses_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new K2Client([]));
        Assert.Contains("ftp://a", Assert.Throws<ArgumentException>(() => new K2Client([new Uri("ftp://a")])).Message);
    }

    private static GenerateRequest Request() => new() { Text = "x", Options = new GenerationOptions { Seed = 5 } };

    private static IEnumerable<GenerateEvent> Of(uint choice, List<GenerateEvent> events) => events.Where(item => item.Started is null && item.Choice == choice);

    private K2Client Client(params MadeUpGateway[] gateways) => new(gateways, new K2ClientOptions { Time = _time });

    private static async Task<List<T>> ReadAsync<T>(IAsyncEnumerable<T> stream)
    {
        List<T> events = [];
        await foreach (T item in stream)
            events.Add(item);
        return events;
    }
}
