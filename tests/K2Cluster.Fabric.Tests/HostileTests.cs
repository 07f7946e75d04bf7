using System.Net;
using System.Net.Sockets;
using K2Cluster.Fabric.Connections;
using K2Cluster.Fabric.Frames;

namespace K2Cluster.Fabric.Tests;

/// <summary>Peers that break the rules lose their connection, with a reason; nobody else notices.</summary>
public sealed class HostileTests
{
    public static TheoryData<string, byte[]> Malformed => new()
    {
        { "begins with", Spoilt(0, 0xFF) },
        { "of version 2", Spoilt(4, 2) },
        { "unknown type 0", Spoilt(5, 0) },
        { "unknown type 10", Spoilt(5, 10) },
        { "reserved bytes", Spoilt(12, 1) },
        { "head of 65281 bytes", Spoilt(7, 0xFF) },
        { "payload of 4278190082 bytes", Spoilt(11, 0xFF) },
        { "payload of 16777218 bytes", Spoilt(11, 1) },
        { "checksum is wrong", Spoilt(16, 9) },
        { "checksum is wrong", Spoilt(24, 9) },
        { "checksum is wrong", Spoilt(FrameHeader.Length, (byte)'x') },
        { "checksum is wrong", Spoilt(FrameHeader.Length + 2, 99) },
        { "Ping with a head", RawPeer.Frame(FrameType.Ping, 0, [1]) },
        { "Cancel with a payload", RawPeer.Frame(FrameType.Cancel, 0, [], [1]) },
        { "Refusal with a payload", RawPeer.Frame(FrameType.Refusal, 0, [], [1]) },
        { "a Hello, which is not for a server", RawPeer.Frame(FrameType.Hello, 0, RawPeer.Head(RawPeer.Hello)) },
        { "a Reply, which is not for a server", RawPeer.Frame(FrameType.Reply, 0, [], [1]) },
        { "request 1024 at once", RawPeer.Frame(FrameType.Request, (1UL << 32) + 1024, [], [1]) },
        { "a request of id 5", RawPeer.Frame(FrameType.Request, 5, [], [1]) },
        { "a second request in slot 3", [.. Held(3, 1), .. Held(3, 2)] },
        { "bytes of requests at once", Flood() },
    };

    public static TheoryData<string, byte[]> MalformedGreetings => new()
    {
        { "a Request instead of a hello", RawPeer.Frame(FrameType.Request, 1UL << 32) },
        { "at most 0 are allowed", RawPeer.Frame(FrameType.Request, 1UL << 32, [], [1]) },
        { "a greeting of 3 bytes", RawPeer.Frame(FrameType.Hello, 0, [1, 1, 0]) },
        { "cut off", RawPeer.Frame(FrameType.Hello, 0, RawPeer.Head(RawPeer.Hello)[..^1]) },
        { "cut off", RawPeer.Frame(FrameType.Hello, 0, [1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]) },
        { "for lane 2", RawPeer.Frame(FrameType.Hello, 0, RawPeer.Head(RawPeer.Hello with { Lane = (FabricLane)2 })) },
        { "offers -1 requests", RawPeer.Frame(FrameType.Hello, 0, RawPeer.Head(RawPeer.Hello with { Slots = -1 })) },
        { "of 0 bytes in flight", RawPeer.Frame(FrameType.Hello, 0, RawPeer.Head(RawPeer.Hello with { InFlightBytes = 0 })) },
        { "of cluster 'c', client of 'other'", RawPeer.Frame(FrameType.Hello, 0, RawPeer.Head(RawPeer.Hello with { ClusterId = "other" })) },
        { "client speaks 2 to 3", RawPeer.Frame(FrameType.Hello, 0, RawPeer.Head(RawPeer.Hello with { LowestVersion = 2, HighestVersion = 3 })) },
        { "begins with", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"u8.ToArray() },
    };

    [Theory]
    [MemberData(nameof(Malformed), DisableDiscoveryEnumeration = true)] // megabytes of hostile bytes: discovery would write each out as text
    public async Task A_malformed_frame_ends_its_connection_with_the_reason(string reason, byte[] bytes)
    {
        using Pair pair = await new Pair().ReadyAsync();
        using RawPeer raw = RawPeer.Greeted(pair.Listener.EndPoint);
        raw.Write(bytes);
        Assert.Contains(reason, raw.ReadEnd());
        await Eventually.TrueAsync(() => pair.Listener.Connections == 1, "the end");
        Assert.Contains(pair.Log, line => line.Contains(reason));
        Assert.Equal([1], await pair.Send([], [1]));
    }

    [Theory]
    [MemberData(nameof(MalformedGreetings), DisableDiscoveryEnumeration = true)]
    public async Task A_malformed_greeting_is_refused_with_the_reason(string reason, byte[] bytes)
    {
        using Pair pair = await new Pair().ReadyAsync();
        using RawPeer raw = RawPeer.Connect(pair.Listener.EndPoint);
        raw.Write(bytes);
        Assert.Contains(reason, raw.ReadEnd());
        await Eventually.TrueAsync(() => pair.Log.Any(line => line.Contains(reason)), "the reason in the log");
        Assert.Equal([1], await pair.Send([], [1]));
    }

    [Theory]
    [InlineData("not in flight", (byte)FrameType.Reply, 1UL << 32)]
    [InlineData("not in flight", (byte)FrameType.Reply, ulong.MaxValue)]
    [InlineData("not in flight", (byte)FrameType.Refusal, 1UL << 32)]
    [InlineData("which is not for a client", (byte)FrameType.Request, 1UL << 32)]
    [InlineData("which is not for a client", (byte)FrameType.Cancel, 1UL << 32)]
    public async Task A_server_that_breaks_the_rules_loses_its_client(string reason, byte type, ulong id)
    {
        using Socket listening = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listening.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listening.Listen();
        List<string> log = [];
        using FabricPeer peer = new("server", (IPEndPoint)listening.LocalEndPoint!, Pair.Options(TimeProvider.System), line =>
        {
            lock (log)
                log.Add(line);
        });
        Assert.False(peer.IsReady(FabricLane.Decode));
        using RawPeer server = new(await listening.AcceptAsync());
        Assert.Equal(FrameType.Hello, server.ReadType());
        server.Write(RawPeer.Frame(FrameType.Welcome, 0, RawPeer.Head(RawPeer.Hello)));
        server.Write(RawPeer.Frame((FrameType)type, id));
        Assert.Contains(reason, server.ReadEnd());
    }

    [Fact]
    public async Task Random_bytes_and_frames_with_random_changes_end_connections_only()
    {
        using Pair pair = await new Pair(options => options with { MaxHandshakes = 200, MaxHandshakesPerAddress = 200 }).ReadyAsync();
        Random random = new(7);
        byte[] good = RawPeer.Frame(FrameType.Request, 1UL << 32, [1, 2, 3], new byte[500]);
        for (int round = 0; round < 200; round++)
        {
            byte[] bytes = [.. good];
            if (round % 2 == 0)
                random.NextBytes(bytes);
            else
                bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            using RawPeer raw = round % 4 < 2 ? RawPeer.Connect(pair.Listener.EndPoint) : RawPeer.Greeted(pair.Listener.EndPoint);
            raw.Write(bytes);
        }

        await Eventually.TrueAsync(() => pair.Listener.Connections == 1, "the ends of all connections");
        Assert.Equal([1], await pair.Send([], [1]));
    }

    [Fact]
    public async Task A_peer_that_does_not_greet_in_time_is_closed_and_so_is_one_whose_frame_never_ends()
    {
        using Pair pair = await new Pair().ReadyAsync();
        using RawPeer mute = RawPeer.Connect(pair.Listener.EndPoint);
        using RawPeer slow = Standing(pair.Listener.EndPoint);
        byte[] frame = RawPeer.Frame(FrameType.Request, 1UL << 32, [], new byte[500]);
        for (int beat = 0; beat < 40; beat++)
        {
            if (pair.Listener.Connections == 3)
                slow.Write([frame[beat]]); // a byte each beat: no whole frame
            pair.Beat();
            await pair.Send([], [1]); // a beat of one end alone would make the other look silent
            if (beat == 6)
                await Eventually.TrueAsync(() => pair.Listener.Connections <= 2, "the end of the mute one");
        }

        await Eventually.TrueAsync(() => pair.Listener.Connections == 1, "the end of the slow one");
        Assert.Contains(pair.Log, line => line.Contains("did not greet within 5 heartbeats"));
        Assert.Contains(pair.Log, line => line.Contains("was silent for 6 heartbeats"));
    }

    [Fact]
    public async Task A_peer_that_does_not_read_its_replies_blocks_nobody_and_is_closed()
    {
        using Pair pair = await new Pair(changeServer: options => options with { QueueBytes = 2 << 20 }).ReadyAsync();
        using RawPeer deaf = RawPeer.Greeted(pair.Listener.EndPoint);
        byte[] payload = new byte[1 << 20];
        try
        {
            for (uint slot = 0; slot < 64; slot++)
                deaf.Write(RawPeer.Frame(FrameType.Request, (1UL << 32) + slot, [], payload));
        }
        catch (SocketException)
        {
            // Closed before it had said all.
        }

        await Eventually.TrueAsync(() => pair.Log.Any(line => line.Contains("does not read its replies")), "the end of the deaf one");
        Assert.Equal([1], await pair.Send([], [1]));
    }

    [Fact]
    public async Task A_listener_has_as_many_connections_as_it_is_told()
    {
        using Pair pair = await new Pair(options => options with { MaxConnections = 2 }).ReadyAsync();
        Assert.Equal([1], await pair.Send([], [1]));
        using RawPeer second = Standing(pair.Listener.EndPoint);
        using RawPeer third = RawPeer.Connect(pair.Listener.EndPoint);
        Assert.Equal("", third.ReadEnd());
        await Eventually.TrueAsync(() => pair.Log.Any(line => line.Contains("there are 2 already")), "the reason in the log");
        Assert.Equal([1], await pair.Send([], [1]));
    }

    [Fact]
    public async Task A_listener_that_has_no_memory_for_a_connection_closes_it_and_accepts_the_next()
    {
        using Pair pair = new(changeServer: options => options with { Slots = int.MaxValue }); // more than an array may have
        for (int i = 0; i < 2; i++)
        {
            using RawPeer raw = RawPeer.Connect(pair.Listener.EndPoint);
            Assert.Equal("", await Task.Run(raw.ReadEnd).WaitAsync(TimeSpan.FromSeconds(20)));
        }

        Assert.Equal(0, pair.Listener.Connections);
        Assert.Contains(pair.Log, line => line.StartsWith("A connection was not accepted", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_connection_for_which_there_is_no_thread_is_closed_and_forgotten()
    {
        using Socket listening = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listening.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listening.Listen();
        using RawPeer raw = RawPeer.Connect((IPEndPoint)listening.LocalEndPoint!);
        List<string> closed = [];
        ServerConnection connection = new("peer", new FabricSocket(await listening.AcceptAsync()), Pair.Options(TimeProvider.System), new TestService(), (_, reason) => closed.Add(reason));
        connection.Close("no thread");
        Assert.Equal(["no thread"], closed);
        Assert.Equal("", raw.ReadEnd());
    }

    [Theory]
    [InlineData(3, 100, "3 others have not greeted yet")]
    [InlineData(100, 3, "3 others from there have not greeted yet")]
    public async Task Strangers_that_do_not_greet_take_no_place_of_those_that_do(int handshakes, int perAddress, string reason)
    {
        using Pair pair = await new Pair(options => options with { MaxConnections = 2, MaxHandshakes = handshakes, MaxHandshakesPerAddress = perAddress }).ReadyAsync();
        Assert.Equal([1], await pair.Send([], [1])); // the listener is past the greeting, too
        RawPeer[] strangers = [.. Enumerable.Range(0, 4).Select(_ => RawPeer.Connect(pair.Listener.EndPoint))];
        Assert.Equal("", await Task.Run(strangers[3].ReadEnd).WaitAsync(TimeSpan.FromSeconds(20)));
        await Eventually.TrueAsync(() => pair.Log.Any(line => line.Contains(reason)), "the reason in the log");
        strangers[0].Dispose();
        await Eventually.TrueAsync(() => pair.Listener.Connections == 3, "the end of the first");
        using RawPeer second = Standing(pair.Listener.EndPoint);
        Assert.Equal([1], await pair.Send([], [1]));
        foreach (RawPeer stranger in strangers)
            stranger.Dispose();
    }

    /// <summary>Connects until the listener, too, is past the greeting.</summary>
    private static RawPeer Standing(IPEndPoint endPoint)
    {
        RawPeer peer = RawPeer.Greeted(endPoint);
        peer.Write(RawPeer.Frame(FrameType.Ping, 0));
        Assert.Equal(FrameType.Pong, peer.ReadType());
        return peer;
    }

    /// <summary>More bytes of requests that nobody answers than the listener allows.</summary>
    private static byte[] Flood() =>
        [.. Enumerable.Range(0, 5).SelectMany(slot => RawPeer.Frame(FrameType.Request, (1UL << 32) + (uint)slot, "h"u8.ToArray(), new byte[1 << 20]))];

    private static byte[] Held(uint slot, ulong use) => RawPeer.Frame(FrameType.Request, (use << 32) + slot, "h"u8.ToArray());

    private static byte[] Spoilt(int at, byte value)
    {
        byte[] frame = RawPeer.Frame(FrameType.Request, 1UL << 32, [1], [1, 2]);
        Assert.NotEqual(value, frame[at]);
        frame[at] = value;
        return frame;
    }
}
