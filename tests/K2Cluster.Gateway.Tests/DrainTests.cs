using System.Net;
using System.Text.Json;
using Grpc.Core;
using Grpc.Health.V1;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Gateway.Tests;

/// <summary>A gateway that is to stop finishes what it has begun and sends everybody else away.</summary>
public sealed class DrainTests
{
    private const string Chat = """{"messages":[{"role":"user","content":"Hi"}]}""";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_was_begun_is_finished_and_what_comes_is_refused(bool overGrpc)
    {
        MadeUpEngine engine = Tokens.Saying("Hello there");
        engine.HangAfter = 1;
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        Inference.InferenceClient client = new(host.Channel);
        Task<string> begun = overGrpc ? ContentAsync(client.Chat(Request())) : ContentAsync(host.PostAsync("/v1/chat/completions", Chat));
        await engine.Hangs.WaitAsync(Limit);
        Task drain = host.Gate.DrainAsync(CancellationToken.None);
        Assert.False(drain.IsCompleted);

        using (HttpResponseMessage refused = await host.Http.PostAsync("/v1/chat/completions", GatewayHost.Json(Chat)))
        {
            Assert.Equal((HttpStatusCode.ServiceUnavailable, TimeSpan.FromSeconds(2)), (refused.StatusCode, refused.Headers.RetryAfter?.Delta));
            JsonElement error = JsonElement.Parse(await refused.Content.ReadAsStringAsync()).GetProperty("error");
            Assert.Equal("draining", error.GetProperty("code").GetString());
            Assert.Contains("send the request to another", error.GetProperty("message").GetString());
        }

        RpcException unavailable = await Assert.ThrowsAsync<RpcException>(() => ContentAsync(client.Chat(Request())));
        Assert.Equal((StatusCode.Unavailable, "2", "draining"), (unavailable.StatusCode, unavailable.Trailers.GetValue("retry-after"), unavailable.Trailers.GetValue("k2-error-code")));
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.NotServing, (await new Health.HealthClient(host.Channel).CheckAsync(new HealthCheckRequest())).Status);
        Assert.False(drain.IsCompleted);

        engine.Release.SetResult();
        Assert.Equal("Hello there", await begun.WaitAsync(Limit));
        await drain.WaitAsync(Limit);
    }

    [Fact]
    public async Task A_gateway_with_nothing_to_do_has_drained_at_once_and_one_whose_time_is_up_has_not()
    {
        MadeUpEngine engine = Tokens.Saying("Hello");
        await using GatewayHost idle = await GatewayHost.StartAsync(engine);
        await idle.PostAsync("/v1/chat/completions", Chat);
        // Refused ones are not waited for either.
        await idle.PostAsync("/v1/chat/completions", "{}");
        await idle.Gate.DrainAsync(CancellationToken.None).WaitAsync(Limit);
        await idle.PostAsync("/v1/chat/completions", Chat);
        await idle.Gate.DrainAsync(CancellationToken.None).WaitAsync(Limit);

        engine.HangAfter = 1;
        await using GatewayHost busy = await GatewayHost.StartAsync(engine);
        using AsyncServerStreamingCall<ChatEvent> call = new Inference.InferenceClient(busy.Channel).Chat(Request());
        await engine.Hangs.WaitAsync(Limit);
        using CancellationTokenSource timeIsUp = new();
        Task drain = busy.Gate.DrainAsync(timeIsUp.Token);
        await timeIsUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => drain);
    }

    private static ChatRequest Request() => new() { Conversation = new Conversation { Messages = { new ChatMessage { Role = "user", Content = "Hi" } } } };

    private static async Task<string> ContentAsync(AsyncServerStreamingCall<ChatEvent> call)
    {
        string content = "";
        await foreach (ChatEvent item in call.ResponseStream.ReadAllAsync())
            content += item.Content;
        return content;
    }

    private static async Task<string> ContentAsync(Task<(HttpStatusCode Status, JsonElement Body)> posted) =>
        (await posted).Body.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!;
}
