using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using K2Cluster.Fabric.Connections;
using K2Cluster.Fabric.Frames;

namespace K2Cluster.Fabric.Tests;

/// <summary>How connections end, and what is told of it.</summary>
public sealed class EndTests
{
    [Fact]
    public async Task A_peer_whose_connection_is_reset_and_that_refuses_the_next_is_gone_once()
    {
        using Socket listening = Listen();
        IPEndPoint endPoint = (IPEndPoint)listening.LocalEndPoint!;
        TaskCompletionSource<string> gone = new();
        int times = 0;
        using FabricPeer peer = new("server", endPoint, Pair.Options(TimeProvider.System));
        peer.Gone += reason =>
        {
            times++;
            gone.TrySetResult(reason);
        };
        using (RawPeer server = await AcceptAsync(listening, peer))
        {
            await Eventually.TrueAsync(() => peer.IsReady(FabricLane.Decode), "a connection");
            Assert.Equal(SendOutcome.Taken, peer.TrySend(FabricLane.Decode, new BytesCall(), [], default, 0, default, out ValueTask<byte[]> call));
            listening.Dispose();
            server.Dispose();
            FabricException failure = await Assert.ThrowsAsync<FabricException>(async () => await call);
            Assert.Contains("server", failure.Message);
        }

        Assert.Contains("refuses a new one", await gone.Task.WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.False(peer.IsReady(FabricLane.Decode));
        Assert.Equal(1, times);
    }

    [Fact]
    public async Task A_refusal_that_follows_on_another_failure_says_nothing_of_a_dead_peer()
    {
        using Socket listening = Listen();
        FailingEndPoint endPoint = new((IPEndPoint)listening.LocalEndPoint!);
        ConcurrentQueue<string> log = [];
        int gone = 0;
        using FabricPeer peer = new("server", endPoint, Pair.Options(TimeProvider.System), log.Enqueue);
        peer.Gone += _ => Interlocked.Increment(ref gone);
        using (RawPeer server = await AcceptAsync(listening, peer))
        {
            await Eventually.TrueAsync(() => peer.IsReady(FabricLane.Decode), "a connection");
            endPoint.Failures.Enqueue(new SocketException((int)SocketError.HostUnreachable));
            listening.Dispose();
        }

        await Eventually.TrueAsync(() => log.Any(line => line.Contains("ConnectionRefused")), "a refusal");
        int asked = endPoint.Asked;
        await Eventually.TrueAsync(() => endPoint.Asked > asked + 10, "attempts after it");
        Assert.Contains(log, line => line.Contains("HostUnreachable"));
        Assert.Equal(0, Volatile.Read(ref gone));
    }

    [Theory]
    [InlineData(SocketError.ConnectionReset, true)]
    [InlineData(SocketError.Shutdown, true)] // a broken pipe
    [InlineData(SocketError.TimedOut, false)]
    [InlineData(SocketError.HostUnreachable, false)]
    [InlineData(SocketError.NetworkUnreachable, false)]
    [InlineData(SocketError.NetworkDown, false)]
    [InlineData(SocketError.ConnectionAborted, false)]
    public void Only_what_comes_from_the_peer_counts_as_a_loss(SocketError error, bool isLoss)
    {
        Assert.Equal(isLoss, FabricConnection.IsLoss(new SocketException((int)error)));
        Assert.Equal(isLoss, FabricConnection.IsLoss(new IOException("from TLS", new SocketException((int)error))));
    }

    [Fact]
    public async Task A_lost_connection_that_is_made_again_says_nothing_of_a_dead_peer()
    {
        using Socket listening = Listen();
        FabricOptions options = Pair.Options(TimeProvider.System);
        using FabricPeer peer = new("server", (IPEndPoint)listening.LocalEndPoint!, options);
        int gone = 0;
        peer.Gone += _ => Interlocked.Increment(ref gone);
        using (await AcceptAsync(listening, peer))
            await Eventually.TrueAsync(() => peer.IsReady(FabricLane.Decode), "a connection");
        using RawPeer again = await AcceptAsync(listening, peer);
        await Eventually.TrueAsync(() => peer.IsReady(FabricLane.Decode), "the next connection");
        await Eventually.TrueAsync(() => options.Counts.Redials == 1, "its count");
        Assert.Equal(0, Volatile.Read(ref gone));
    }

    [Fact]
    public async Task After_a_goodbye_what_is_in_flight_is_answered_nothing_new_is_sent_and_nobody_is_gone()
    {
        using Pair pair = await new Pair().ReadyAsync();
        ValueTask<byte[]> call = pair.Send("h"u8.ToArray(), []);
        await Eventually.TrueAsync(() => !pair.Service.Held.IsEmpty, "the request");
        Task drained = pair.Listener.DrainAsync(CancellationToken.None);
        await Eventually.TrueAsync(() => !pair.Peer.IsReady(FabricLane.Decode), "the goodbye");
        Assert.Null(pair.TrySend([], [1]));
        Assert.False(drained.IsCompleted);
        Assert.True(pair.Service.Held.TryDequeue(out FabricRequest? held));
        held.Reply("done"u8, default);
        Assert.Equal("done"u8.ToArray(), await call);
        await drained.WaitAsync(TimeSpan.FromSeconds(20));

        await Eventually.TrueAsync(() => pair.Log.Any(line => line.Contains("ConnectionRefused")), "a refused attempt");
        Assert.Empty(pair.Gone);
        pair.ListenAgain();
        await pair.ReadyAsync();
        Assert.Equal([2], await pair.Send([], [2]));
    }

    [Fact]
    public async Task A_client_that_leaves_gets_its_answers_first()
    {
        using Pair pair = await new Pair().ReadyAsync();
        ValueTask<byte[]> call = pair.Send("h"u8.ToArray(), []);
        await Eventually.TrueAsync(() => !pair.Service.Held.IsEmpty, "the request");
        pair.Peer.Dispose();
        Assert.True(pair.Service.Held.TryDequeue(out FabricRequest? held));
        held.Reply("done"u8, default);
        Assert.Equal("done"u8.ToArray(), await call);
        await Eventually.TrueAsync(() => pair.Listener.Connections == 0, "the end");
    }

    [Fact]
    public async Task What_is_served_for_a_client_that_is_lost_is_cancelled()
    {
        using Pair pair = new();
        using (RawPeer raw = RawPeer.Greeted(pair.Listener.EndPoint))
        {
            raw.Write(RawPeer.Frame(FrameType.Request, 1UL << 32, "h"u8.ToArray()));
            await Eventually.TrueAsync(() => !pair.Service.Held.IsEmpty, "the request");
        }

        Assert.True(pair.Service.Held.TryDequeue(out FabricRequest? held));
        await Eventually.TrueAsync(() => held.IsCancelled, "the cancellation");
        held.Reply([], PooledBytes.Rent(10));
        held = null;
    }

    [Fact]
    public async Task A_peer_that_hangs_is_silent_after_three_heartbeats_and_its_calls_wait()
    {
        using Socket listening = Listen();
        Microsoft.Extensions.Time.Testing.FakeTimeProvider time = new();
        using FabricPeer peer = new("server", (IPEndPoint)listening.LocalEndPoint!, Pair.Options(time));
        int gone = 0;
        peer.Gone += _ => Interlocked.Increment(ref gone);
        using RawPeer server = await AcceptAsync(listening, peer);
        await Eventually.TrueAsync(() => peer.IsReady(FabricLane.Decode), "a connection");
        Assert.Equal(SendOutcome.Taken, peer.TrySend(FabricLane.Decode, new BytesCall(), [], default, 0, default, out ValueTask<byte[]> call));
        for (int beat = 0; beat < 3; beat++)
            time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(peer.IsSilent);
        Assert.False(call.IsCompleted);

        Assert.Equal(FrameType.Request, server.ReadType());
        Assert.Equal(FrameType.Ping, server.ReadType());
        server.Write(RawPeer.Frame(FrameType.Pong, 0));
        await Eventually.TrueAsync(() => !peer.IsSilent, "the pong");

        Task<byte[]> waiting = call.AsTask();
        for (int beat = 0; beat < 7; beat++)
            time.Advance(TimeSpan.FromSeconds(1));
        FabricException failure = await Assert.ThrowsAsync<FabricException>(() => waiting);
        Assert.Contains("silent for 6 heartbeats", failure.Message);
        Assert.True(peer.IsSilent); // until another connection says otherwise
        Assert.Equal(0, Volatile.Read(ref gone));
    }

    [Fact]
    public async Task A_peer_that_hangs_after_it_was_left_is_silent_and_what_is_in_flight_ends()
    {
        using Socket listening = Listen();
        CountedTime time = new();
        using FabricPeer peer = new("server", (IPEndPoint)listening.LocalEndPoint!, Pair.Options(time));
        using RawPeer server = await AcceptAsync(listening, peer);
        await Eventually.TrueAsync(() => peer.IsReady(FabricLane.Decode), "a connection");
        Assert.Equal(SendOutcome.Taken, peer.TrySend(FabricLane.Decode, new BytesCall(), [], default, 0, default, out ValueTask<byte[]> call));
        peer.Dispose();
        Assert.Equal(1, time.Timers);
        for (int beat = 0; beat < 3; beat++)
            time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(peer.IsSilent);
        Assert.False(call.IsCompleted);

        for (int beat = 3; beat < 31; beat++)
            time.Advance(TimeSpan.FromSeconds(1));
        await Assert.ThrowsAsync<FabricException>(() => call.AsTask().WaitAsync(TimeSpan.FromSeconds(20)));
        await Eventually.TrueAsync(() => time.Timers == 0, "the end of the heartbeat");
    }

    [Fact]
    public async Task A_peer_that_does_not_greet_is_closed_though_it_was_left()
    {
        using Socket listening = Listen();
        CountedTime time = new();
        FabricPeer peer = new("server", (IPEndPoint)listening.LocalEndPoint!, Pair.Options(time));
        _ = peer.IsReady(FabricLane.Decode);
        using RawPeer mute = new(await listening.AcceptAsync());
        Assert.Equal(FrameType.Hello, mute.ReadType());
        peer.Dispose();
        Assert.Equal(1, time.Timers);
        for (int beat = 0; beat < 6; beat++)
            time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.TrueAsync(() => time.Timers == 0, "the end of the lane");
    }

    [Fact]
    public void A_peer_that_was_never_used_leaves_at_once()
    {
        CountedTime time = new();
        FabricPeer peer = new("server", new IPEndPoint(IPAddress.Loopback, 1), Pair.Options(time));
        Assert.Equal(1, time.Timers);
        peer.Dispose();
        peer.Dispose();
        Assert.Equal(0, time.Timers);
    }

    [Fact]
    public async Task A_process_without_descriptors_or_memory_for_a_connection_makes_it_when_there_are_some_again()
    {
        using Socket listening = Listen();
        FailingEndPoint endPoint = new((IPEndPoint)listening.LocalEndPoint!);
        endPoint.Failures.Enqueue(new SocketException((int)SocketError.TooManyOpenSockets));
        endPoint.Failures.Enqueue(new InvalidOperationException("no thread"));
        ConcurrentQueue<string> log = [];
        using FabricPeer peer = new("server", endPoint, Pair.Options(TimeProvider.System), log.Enqueue);
        using RawPeer server = await AcceptAsync(listening, peer);
        await Eventually.TrueAsync(() => peer.IsReady(FabricLane.Decode), "a connection");
        Assert.Collection(log, line => Assert.Contains("TooManyOpenSockets", line), line => Assert.Contains("no thread", line));
    }

    private static Socket Listen()
    {
        Socket listening = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listening.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listening.Listen();
        return listening;
    }

    /// <summary>Plays the server until the client is greeted.</summary>
    private static async Task<RawPeer> AcceptAsync(Socket listening, FabricPeer peer)
    {
        _ = peer.IsReady(FabricLane.Decode);
        RawPeer server = new(await listening.AcceptAsync());
        Assert.Equal(FrameType.Hello, server.ReadType());
        server.Write(RawPeer.Frame(FrameType.Welcome, 0, RawPeer.Head(RawPeer.Hello)));
        return server;
    }
}
