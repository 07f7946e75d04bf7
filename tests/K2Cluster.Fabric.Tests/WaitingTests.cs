namespace K2Cluster.Fabric.Tests;

/// <summary>Calls for which there is no room in flight.</summary>
public sealed class WaitingTests
{
    [Fact]
    public async Task Calls_beyond_the_slots_wait_and_go_in_order_as_others_are_answered()
    {
        using Pair pair = await new Pair(options => options with { Slots = 2 }).ReadyAsync();
        ValueTask<byte[]>[] calls = [.. Enumerable.Range(0, 4).Select(i => pair.Send("h"u8.ToArray(), [(byte)i]))];
        await Eventually.TrueAsync(() => pair.Service.Held.Count == 2, "two requests");
        Assert.Equal((2, 2, 2), (pair.Counts.Calls, pair.Counts.Waits, pair.Counts.InFlight));
        for (int i = 0; i < 4; i++)
        {
            Assert.False(calls[i].IsCompleted);
            Answer(pair, i);
            Assert.Equal([(byte)i], await calls[i]);
            int sent = Math.Min(i + 3, 4);
            await Eventually.TrueAsync(() => pair.Counts.Calls == sent && pair.Service.Held.Count == sent - i - 1, "the next request");
        }

        Assert.Equal(0, pair.Counts.InFlight);
    }

    [Fact]
    public async Task Calls_beyond_the_bytes_in_flight_wait_and_a_small_one_does_not_pass_a_large_one()
    {
        using Pair pair = await new Pair(options => options with { InFlightBytes = 2_000 }).ReadyAsync();
        ValueTask<byte[]> first = pair.Send("h"u8.ToArray(), new byte[800]); // as many bytes of its reply
        ValueTask<byte[]> large = pair.Send("h"u8.ToArray(), new byte[700]);
        ValueTask<byte[]> small = pair.Send("h"u8.ToArray(), new byte[1]);
        await Eventually.TrueAsync(() => pair.Service.Held.Count == 1, "the first request");
        Assert.Equal((1, 2), (pair.Counts.Calls, pair.Counts.Waits));
        Answer(pair, 1);
        await first;
        await Eventually.TrueAsync(() => pair.Service.Held.Count == 2, "both others");
        Answer(pair, 2);
        Answer(pair, 3);
        Assert.Equal([2], await large);
        Assert.Equal([3], await small);
    }

    [Fact]
    public async Task A_call_larger_than_all_that_may_be_in_flight_goes_alone()
    {
        using Pair pair = await new Pair(options => options with { InFlightBytes = 100 }).ReadyAsync();
        ValueTask<byte[]>[] calls = [.. Enumerable.Range(0, 2).Select(_ => pair.Send([], new byte[1000]))];
        foreach (ValueTask<byte[]> call in calls)
            Assert.Equal(1000, (await call).Length);
    }

    [Fact]
    public async Task A_waiting_call_that_is_given_up_ends_at_once_is_never_sent_and_lets_the_next_pass()
    {
        using Pair pair = await new Pair(options => options with { InFlightBytes = 2_000 }).ReadyAsync();
        using CancellationTokenSource cancellation = new();
        ValueTask<byte[]> first = pair.Send("h"u8.ToArray(), new byte[500]);
        ValueTask<byte[]> given = pair.Send("h"u8.ToArray(), new byte[900], cancellation: cancellation.Token);
        ValueTask<byte[]> small = pair.Send([], [7]);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await given);
        Assert.Equal([7], await small);
        Answer(pair, 1);
        Assert.Equal([1], await first);
        Assert.Equal((2, 2, 0), (pair.Counts.Calls, pair.Counts.Waits, pair.Counts.InFlight));
        Assert.Empty(pair.Service.Held);
    }

    [Fact]
    public async Task A_call_that_was_given_up_in_flight_keeps_its_slot_until_it_is_answered()
    {
        using Pair pair = await new Pair(options => options with { Slots = 1 }).ReadyAsync();
        using CancellationTokenSource cancellation = new();
        ValueTask<byte[]> first = pair.Send("h"u8.ToArray(), [], cancellation: cancellation.Token);
        await Eventually.TrueAsync(() => !pair.Service.Held.IsEmpty, "the request");
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await first);
        ValueTask<byte[]> second = pair.Send([], [2]);
        Assert.Equal((1, 1), (pair.Counts.Calls, pair.Counts.Waits));
        Answer(pair, 1);
        Assert.Equal([2], await second);
    }

    [Fact]
    public async Task As_many_calls_wait_as_there_are_slots_and_one_beyond_is_told_so()
    {
        using Pair few = await new Pair(options => options with { Slots = 2 }).ReadyAsync();
        for (int i = 0; i < 4; i++)
            Assert.True(Takes(few, 0));
        Assert.False(Takes(few, 0));
    }

    [Theory]
    [InlineData("the peer leaves")]
    [InlineData("this end leaves")]
    [InlineData("the connection ends")]
    public async Task A_waiting_call_fails_at_once_when(string what)
    {
        using Pair pair = await new Pair(options => options with { Slots = 1 }).ReadyAsync();
        ValueTask<byte[]> first = pair.Send("h"u8.ToArray(), []);
        ValueTask<byte[]> waiting = pair.Send("h"u8.ToArray(), new byte[10]);
        await Eventually.TrueAsync(() => !pair.Service.Held.IsEmpty, "the request");
        string expected = "takes no more calls";
        switch (what)
        {
            case "the peer leaves":
                _ = pair.Listener.DrainAsync(CancellationToken.None);
                break;
            case "this end leaves":
                pair.Peer.Dispose();
                break;
            default:
                pair.Listener.Dispose();
                expected = "server";
                break;
        }

        FabricException failure = await Assert.ThrowsAsync<FabricException>(async () => await waiting);
        Assert.Contains(expected, failure.Message);
        Assert.Equal(1, pair.Counts.Calls);
        if (what != "the connection ends")
        {
            Answer(pair, 1);
            Assert.Equal([1], await first);
        }
    }

    [Fact]
    public async Task Whatever_is_given_up_meanwhile_all_calls_of_many_callers_end_and_leave_nothing_behind()
    {
        using Pair pair = await new Pair(options => options with { Slots = 16, InFlightBytes = 160_000 }).ReadyAsync();
        await Task.WhenAll(Enumerable.Range(0, 16).Select(caller => Task.Run(async () =>
        {
            Random random = new(caller);
            for (int i = 0; i < 200; i++)
            {
                byte[] payload = new byte[random.Next(1, 20_001)];
                random.NextBytes(payload);
                using CancellationTokenSource cancellation = new();
                ValueTask<byte[]> call = pair.Send([], payload, cancellation: cancellation.Token);
                if (i % 4 == 0)
                    await cancellation.CancelAsync();
                try
                {
                    Assert.Equal(payload, await call);
                }
                catch (OperationCanceledException) when (i % 4 == 0)
                {
                }
            }
        })));
        Assert.True(pair.Counts.Waits > 0);
        await Eventually.TrueAsync(() => pair.Counts.InFlight == 0, "the answers that nobody waits for");
        Assert.Equal([1], await pair.Send([], [1]));
        Assert.Equal(1, pair.Counts.Connections);
    }

    private static bool Takes(Pair pair, int bytes) => pair.TrySend("h"u8.ToArray(), new byte[bytes]) is not null;

    private static void Answer(Pair pair, int with)
    {
        Assert.True(pair.Service.Held.TryDequeue(out FabricRequest? held));
        held.Reply([(byte)with], default);
    }
}
