using K2Cluster.Fabric.Connections;

namespace K2Cluster.Fabric.Tests;

/// <summary>Calls between two ends that keep the rules.</summary>
public sealed class CallTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1024, 0)]
    [InlineData(40, 14_336)]
    [InlineData(0, 16 * 1024)]
    [InlineData(7, (64 << 10) - 39)]
    [InlineData(7, 64 << 10)]
    [InlineData(1024, 1 << 20)]
    public async Task A_reply_has_the_head_and_payload_that_were_sent(int headLength, int payloadLength)
    {
        using Pair pair = await new Pair().ReadyAsync();
        byte[] head = new byte[headLength];
        byte[] payload = new byte[payloadLength];
        new Random(headLength).NextBytes(payload);
        byte[] expected = [.. head, .. payload];
        for (int i = 0; i < 3; i++)
            Assert.Equal(expected, await pair.Send(head, payload));
    }

    [Fact]
    public async Task Both_lanes_carry_calls_of_many_callers_at_once()
    {
        using Pair pair = new();
        await pair.ReadyAsync(FabricLane.Decode);
        await pair.ReadyAsync(FabricLane.Bulk);
        await Task.WhenAll(Enumerable.Range(0, 16).Select(caller => Task.Run(async () =>
        {
            Random random = new(caller);
            for (int i = 0; i < 100; i++)
            {
                byte[] payload = new byte[random.Next(i % 10 == 0 ? 200_000 : 5_000)];
                random.NextBytes(payload);
                Assert.Equal(payload, await pair.Send([], payload, lane: (FabricLane)(i % 2)));
            }
        })));
        Assert.Equal(1600, pair.Counts.Calls);
        Assert.Equal(0, pair.Counts.InFlight);
        Assert.Equal(2, pair.Counts.Connections);
    }

    [Fact]
    public async Task A_refusal_fails_its_call_with_the_reason_and_no_other()
    {
        using Pair pair = await new Pair().ReadyAsync();
        FabricException failure = await Assert.ThrowsAsync<FabricException>(async () => await pair.Send("t"u8.ToArray(), [1, 2]));
        Assert.Equal("server: thrown by the service", failure.Message);
        Assert.Equal([3], await pair.Send([], [3]));
    }

    [Fact]
    public async Task A_cancelled_call_ends_at_once_tells_the_server_and_its_late_reply_is_dropped()
    {
        using Pair pair = await new Pair().ReadyAsync();
        using CancellationTokenSource cancellation = new();
        ValueTask<byte[]> call = pair.Send("h"u8.ToArray(), [1], cancellation: cancellation.Token);
        await Eventually.TrueAsync(() => !pair.Service.Held.IsEmpty, "the request");
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await call);
        Assert.True(pair.Service.Held.TryDequeue(out FabricRequest? held));
        await Eventually.TrueAsync(() => held.IsCancelled, "the cancellation");
        Assert.Equal(1, pair.Counts.InFlight);
        held.Reply("late"u8, default);
        Assert.Equal([7], await pair.Send([], [7]));
        Assert.Equal(0, pair.Counts.InFlight);
    }

    [Theory]
    [InlineData(0x00000000_00000005, 0x00000001_00000005)]
    [InlineData(0xFFFFFFFE_00000005, 0xFFFFFFFF_00000005)]
    [InlineData(0xFFFFFFFF_00000005, 0x00000001_00000005)]
    public void After_its_last_use_a_slot_begins_again_with_the_first(ulong id, ulong next) => Assert.Equal(next, CallSlots.NextId(id));

    [Fact]
    public async Task A_request_is_answered_once_only()
    {
        using Pair pair = await new Pair().ReadyAsync();
        ValueTask<byte[]> call = pair.Send("h"u8.ToArray(), []);
        await Eventually.TrueAsync(() => !pair.Service.Held.IsEmpty, "the request");
        Assert.True(pair.Service.Held.TryDequeue(out FabricRequest? held));
        held.Reply([], default);
        Assert.Throws<InvalidOperationException>(() => held.Reply([], default));
        Assert.Empty(await call);
    }
}
