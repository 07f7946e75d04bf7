using System.Runtime.InteropServices;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;

namespace K2Cluster.Cluster.Tests.Dispatch;

/// <summary>Frames to a shard over the fabric, and what becomes of them when something fails.</summary>
public sealed class FabricChannelTests
{
    /// <summary>Rows that take more than 1 MiB with their replies, and so the lane for the large.</summary>
    private const int Large = 18_000;

    [Theory]
    [InlineData(1)]
    [InlineData(Large)]
    public async Task A_reply_over_the_fabric_is_the_shards(int rows)
    {
        using FabricBed bed = await new FabricBed().ReadyAsync();
        using ExpertReply reply = await bed.CallAsync(rows);
        AssertComputed(reply, rows);
        Assert.Equal((1, 0, 0), (bed.Peers.Counts.Calls, bed.Channel.PairsInFlight, bed.Peers.Counts.InFlight));
        Assert.Empty(bed.Fallback.Frames);

        using ExpertReply wrong = await bed.CallAsync(incarnation: 41);
        Assert.Equal(ReplyStatus.WrongIncarnation, wrong.Status);
    }

    [Fact]
    public async Task Without_a_connection_a_frame_goes_by_a_grain_call()
    {
        using FabricBed bed = await new FabricBed().ReadyAsync();
        bed.StopListening();
        await Eventually.TrueAsync(() => bed.Peers.Counts.Connections == 0, "the end of the connections");
        using ExpertReply reply = await bed.CallAsync();
        AssertComputed(reply, 1);
        Assert.Single(bed.Fallback.Frames);
        Assert.False(bed.Channel.IsSilent);
    }

    [Fact]
    public async Task A_connection_that_ends_in_mid_call_fails_the_call_and_the_next_finds_another()
    {
        using FabricBed bed = await new FabricBed().ReadyAsync();
        using ManualResetEventSlim go = new();
        bed.Device.BeforeForward = _ => go.Wait();
        Task<ExpertReply> call = bed.CallAsync();
        await Eventually.TrueAsync(() => bed.Shard.Pace.Running is not null, "the device at work");
        bed.Proxy.Reset();
        await Assert.ThrowsAsync<ShardUnavailableException>(() => call);
        go.Set();
        await Eventually.TrueAsync(() => bed.Peers.Counts.Redials == 2, "both lanes again");
        using ExpertReply reply = await bed.CallAsync();
        AssertComputed(reply, 1);
        Assert.Empty(bed.Fallback.Frames);
    }

    [Fact]
    public async Task Between_a_reset_and_the_next_connection_a_call_fails_at_once_and_goes_no_other_way()
    {
        using FabricBed bed = await new FabricBed().ReadyAsync();
        bed.Proxy.Freeze(); // the next connection is accepted, and its greeting not answered
        bed.Proxy.Reset();
        await Eventually.TrueAsync(() => bed.Peers.Counts.Connections == 0, "the end of the connections");
        foreach (int rows in new[] { 1, Large })
        {
            ShardUnavailableException failure = await Assert.ThrowsAsync<ShardUnavailableException>(() => bed.CallAsync(rows));
            Assert.Contains("lost a moment ago", failure.Message);
        }

        Assert.Empty(bed.Fallback.Frames);
        bed.Proxy.Thaw();
        await Eventually.TrueAsync(() => bed.Peers.Counts.Redials == 2, "both lanes again");
        using ExpertReply reply = await bed.CallAsync();
        AssertComputed(reply, 1);
    }

    [Fact]
    public async Task A_reply_that_was_changed_on_its_way_ends_its_connection_is_counted_and_reaches_nobody()
    {
        using FabricBed bed = await new FabricBed().ReadyAsync();
        bed.Proxy.Change = bytes => bytes[^1] ^= 1;
        await Assert.ThrowsAsync<ShardUnavailableException>(() => bed.CallAsync());
        bed.Proxy.Change = null;
        Assert.Equal(1, bed.Peers.Counts.ChecksumFailures);
        await Eventually.TrueAsync(() => bed.Peers.Counts.Connections == 2, "another connection");
        using ExpertReply reply = await bed.CallAsync();
        AssertComputed(reply, 1);
        Assert.Empty(bed.Membership.Killed);
    }

    [Fact]
    public async Task A_call_that_was_given_up_is_not_computed()
    {
        using FabricBed bed = await new FabricBed().ReadyAsync();
        using ManualResetEventSlim go = new();
        int forwards = 0;
        bed.Device.BeforeForward = _ =>
        {
            Interlocked.Increment(ref forwards);
            go.Wait();
        };
        Task<ExpertReply> first = bed.CallAsync();
        await Eventually.TrueAsync(() => Volatile.Read(ref forwards) == 1, "the first at work");
        using CancellationTokenSource cancellation = new();
        Task<ExpertReply> second = bed.CallAsync(cancellation: cancellation.Token);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        using ExpertReply after = await AnswerBehindAsync(bed);
        go.Set();
        (await first).Dispose();
        using ExpertReply third = await bed.CallAsync();
        Assert.Equal(2, Volatile.Read(ref forwards));
        Assert.Equal(0, bed.Peers.Counts.InFlight);

        // One connection, in order: what is answered now came after the cancellation.
        static Task<ExpertReply> AnswerBehindAsync(FabricBed bed) => bed.CallAsync(incarnation: 41);
    }

    [Fact]
    public async Task Frames_beyond_the_room_in_flight_wait_for_it_go_no_other_way_and_small_ones_pass_large_ones()
    {
        using FabricBed bed = await new FabricBed(slots: 1).ReadyAsync();
        using ManualResetEventSlim go = new();
        bed.Device.BeforeForward = _ => go.Wait();
        Task<ExpertReply>[] large = [.. Enumerable.Range(0, 2).Select(_ => bed.CallAsync(Large))];
        Assert.Equal(1, bed.Peers.Counts.Waits);
        using ExpertReply small = await bed.CallAsync(incarnation: 41);
        Assert.Equal(ReplyStatus.WrongIncarnation, small.Status);
        Assert.Equal(2 * Large, bed.Channel.PairsInFlight);

        using ExpertReply beyond = await bed.CallAsync(Large);
        Assert.Equal(ReplyStatus.Busy, beyond.Status); // one is in flight and one waits, which is the limit here
        go.Set();
        foreach (Task<ExpertReply> call in large)
        {
            using ExpertReply reply = await call;
            AssertComputed(reply, Large);
        }

        Assert.Equal((0, 0), (bed.Channel.PairsInFlight, bed.Peers.Counts.InFlight));
        Assert.Empty(bed.Fallback.Frames);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_frame_that_waits_for_room_ends_at_once_when_its_connection_is_lost_or_it_is_given_up(bool isLost)
    {
        using FabricBed bed = await new FabricBed(slots: 1).ReadyAsync();
        (await bed.CallAsync()).Dispose();
        using ManualResetEventSlim go = new();
        using CancellationTokenSource cancellation = new();
        bed.Device.BeforeForward = _ => go.Wait();
        Task<ExpertReply> stuck = bed.CallAsync();
        await Eventually.TrueAsync(() => bed.Shard.Pace.Running is not null, "the device at work");
        Task<ExpertReply> waiting = bed.CallAsync(cancellation: cancellation.Token);
        if (isLost)
        {
            bed.Proxy.Reset();
            await Assert.ThrowsAsync<ShardUnavailableException>(() => waiting);
            await Assert.ThrowsAsync<ShardUnavailableException>(() => stuck);
        }
        else
        {
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
            Assert.False(stuck.IsCompleted);
        }

        Assert.Equal((2, 1), (bed.Peers.Counts.Calls, bed.Peers.Counts.Waits));
        Assert.Empty(bed.Fallback.Frames);
        go.Set();
        if (!isLost)
            (await stuck).Dispose();
    }

    [Fact]
    public async Task A_silo_whose_connection_is_reset_and_that_refuses_the_next_is_reported_dead_and_not_asked_any_more()
    {
        using FabricBed bed = await new FabricBed().ReadyAsync();
        bed.Proxy.Kill();
        await Eventually.TrueAsync(() => !bed.Membership.Killed.IsEmpty, "membership told");
        Assert.Equal([FabricBed.Silo], bed.Membership.Killed);
        Assert.True(bed.Channel.IsSilent);
        ShardUnavailableException failure = await Assert.ThrowsAsync<ShardUnavailableException>(() => bed.CallAsync());
        Assert.Contains("its process is gone", failure.Message);
        Assert.Empty(bed.Fallback.Frames);
    }

    [Theory]
    [InlineData("reset and accepted again")]
    [InlineData("said goodbye and refuses")]
    [InlineData("hangs until it is left")]
    [InlineData("reset and fails TLS from then on")]
    public async Task Nothing_less_kills_a_silo(string what)
    {
        bool failsTls = false;
        using BedCertificate certificate = new(() => Volatile.Read(ref failsTls));
        using FabricBed bed = await new FabricBed(what.Contains("TLS") ? certificate.Security : null).ReadyAsync();
        switch (what)
        {
            case "reset and accepted again":
                bed.Proxy.Reset();
                await Eventually.TrueAsync(() => bed.Peers.Counts.Redials == 2, "both lanes again");
                break;
            case "said goodbye and refuses":
                bed.StopListening();
                await Eventually.TrueAsync(() => bed.Peers.Counts.Connections == 0, "the goodbye");
                bed.Proxy.Kill();
                break;
            case "hangs until it is left":
                bed.Proxy.Freeze();
                bed.Beat(3);
                Assert.True(bed.Channel.IsSilent);
                await Assert.ThrowsAsync<ShardUnavailableException>(() => bed.CallAsync());
                bed.Beat(4);
                await Eventually.TrueAsync(() => bed.Peers.Counts.Connections == 0, "the end");
                await Assert.ThrowsAsync<ShardUnavailableException>(() => bed.CallAsync()); // a grain call would hang as well
                bed.Proxy.Thaw();
                await Eventually.TrueAsync(() => bed.Peers.Counts.Connections == 2 && !bed.Channel.IsSilent, "another connection");
                (await bed.CallAsync()).Dispose();
                break;
            default:
                Volatile.Write(ref failsTls, true);
                bed.Proxy.Reset();
                await Eventually.TrueAsync(() => certificate.Refusals > 2, "refusals");
                break;
        }

        Assert.Empty(bed.Membership.Killed);
    }

    [Fact]
    public async Task A_device_that_hangs_is_reported_its_channel_is_silent_and_both_end_when_it_goes_on()
    {
        using FabricBed bed = await new FabricBed().ReadyAsync();
        (await bed.CallAsync()).Dispose();
        using ManualResetEventSlim go = new();
        bed.Device.BeforeForward = _ => go.Wait();
        Task<ExpertReply> stuck = bed.CallAsync();
        await Eventually.TrueAsync(() => bed.Shard.Pace.Running is not null, "the device at work");
        await bed.BeatHeardAsync(10);
        Assert.Null(bed.Shard.Report.Problem);
        Assert.False(bed.Channel.IsSilent);
        await bed.BeatHeardAsync();
        ShardReport report = bed.Shard.Report;
        Assert.Contains("it hangs", report.Problem);
        Assert.Equal((0, 0L), (report.Held.Length, report.WeightsBudget));
        Assert.True(bed.Channel.IsSilent);
        ShardUnavailableException failure = await Assert.ThrowsAsync<ShardUnavailableException>(() => bed.CallAsync());
        Assert.Contains("its device hangs", failure.Message);

        go.Set();
        (await stuck).Dispose();
        Assert.Null(bed.Shard.Report.Problem);
        Assert.Equal(FabricBed.Grid.Count, bed.Shard.Report.Held.Length);
        await bed.BeatHeardAsync();
        Assert.False(bed.Channel.IsSilent);
    }

    private static void AssertComputed(ExpertReply reply, int rows)
    {
        Assert.Equal((ReplyStatus.Computed, rows), (reply.Status, reply.Pairs));
        Assert.Equal(-1, reply.Payload.Span[..rows].IndexOfAnyExcept((byte)PairStatus.Done));
        ReadOnlySpan<ushort> outputs = MemoryMarshal.Cast<byte, ushort>(reply.Payload.Span[ExpertReply.StatusLength(rows)..]);
        Assert.Equal(-1, outputs.IndexOfAnyExcept(MadeUpDevice.Output(0, 1, 3)));
    }
}
