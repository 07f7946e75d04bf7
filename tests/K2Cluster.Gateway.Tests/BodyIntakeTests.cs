using System.Net;
using Grpc.Core;
using K2Cluster.Gateway.Serving;
using K2Cluster.Protocol.V1;
using Microsoft.Extensions.DependencyInjection;

namespace K2Cluster.Gateway.Tests;

public sealed class BodyIntakeTests
{
    private const int Long = BodyIntake.ShortBytes + 1;

    [Fact]
    public void Long_bodies_share_a_sum_and_give_back_what_they_took()
    {
        using BodyIntake intake = new(1000, 1, TimeSpan.Zero);
        using BodyIntake.Share first = intake.Begin();
        using BodyIntake.Share second = intake.Begin();
        first.Hold(BodyIntake.ShortBytes);
        first.Hold(BodyIntake.ShortBytes + 400);
        first.Hold(BodyIntake.ShortBytes + 600);
        second.Hold(BodyIntake.ShortBytes + 400);
        Assert.Equal(RequestFault.Busy, Assert.Throws<RequestException>(() => second.Hold(BodyIntake.ShortBytes + 401)).Fault);

        first.Dispose();
        second.Hold(BodyIntake.ShortBytes + 1000);
        Assert.Throws<RequestException>(() => first.Hold(Long));
    }

    [Fact]
    public async Task A_long_body_waits_for_its_turn_a_short_one_does_not()
    {
        using BodyIntake intake = new(1000, 1, TimeSpan.FromMinutes(1));
        IDisposable? first = await intake.EnterAsync(Long, default);
        Task<IDisposable?> second = intake.EnterAsync(Long, default).AsTask();
        Assert.Null(await intake.EnterAsync(BodyIntake.ShortBytes, default));
        Assert.False(second.IsCompleted);
        using CancellationTokenSource left = new();
        Task<IDisposable?> third = intake.EnterAsync(Long, left.Token).AsTask();
        await left.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => third);

        first!.Dispose();
        (await second.WaitAsync(TimeSpan.FromSeconds(10)))!.Dispose();
    }

    [Fact]
    public async Task A_turn_that_does_not_come_is_told()
    {
        using BodyIntake intake = new(1000, 1, TimeSpan.FromMilliseconds(1));
        using IDisposable? first = await intake.EnterAsync(Long, default);
        RequestException busy = await Assert.ThrowsAsync<RequestException>(async () => await intake.EnterAsync(Long, default));

        Assert.Equal((RequestFault.Busy, true), (busy.Fault, busy.RetryAfter > TimeSpan.Zero));
    }

    [Fact]
    public async Task A_body_for_which_there_is_no_memory_is_turned_away_on_both_sides()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"), configure: builder => builder.Services.AddSingleton(new BodyIntake(1 << 20, 1, TimeSpan.FromMinutes(1))));
        Inference.InferenceClient client = new(host.Channel);
        string huge = new('a', 2 << 20);
        string large = new('a', 700 << 10);
        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage refused = await host.Http.PostAsync("/tokenize", GatewayHost.Json($$"""{"prompt":"{{huge}}"}"""));
            Assert.Equal(HttpStatusCode.TooManyRequests, refused.StatusCode);
            Assert.True(refused.Headers.RetryAfter?.Delta > TimeSpan.Zero);
            Assert.Contains("\"code\":\"too_many_long_requests\"", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
            RpcException error = await Assert.ThrowsAsync<RpcException>(async () => await client.TokenizeAsync(new TokenizeRequest { Text = huge }));
            Assert.Equal((StatusCode.ResourceExhausted, "2"), (error.StatusCode, error.Trailers.GetValue("retry-after")));

            // What was held came back: these would not fit beside it, nor beside each other.
            Assert.Equal(HttpStatusCode.OK, (await host.PostAsync("/tokenize", $$"""{"prompt":"{{large}}"}""")).Status);
            Assert.NotEmpty((await client.TokenizeAsync(new TokenizeRequest { Text = large })).TokenIds);
        }
    }
}
