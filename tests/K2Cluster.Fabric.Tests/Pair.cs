using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Fabric.Tests;

/// <summary>A listener and a peer of it on loopback, under a clock that only the test moves.</summary>
internal sealed class Pair : IDisposable
{
    private readonly FabricOptions _options;

    public Pair(Func<FabricOptions, FabricOptions>? change = null, Func<FabricOptions, FabricOptions>? changeServer = null)
    {
        _options = (change ?? (same => same))(Options(Time));
        Listener = new FabricListener(new IPEndPoint(IPAddress.Loopback, 0), (changeServer ?? (same => same))(_options with { Name = "server", Counts = new() }), Service, Log.Enqueue);
        Peer = new FabricPeer("server", Listener.EndPoint, _options, Log.Enqueue);
        Peer.Gone += Gone.Enqueue;
    }

    public FakeTimeProvider Time { get; } = new();

    public TestService Service { get; } = new();

    public FabricListener Listener { get; private set; }

    public FabricPeer Peer { get; }

    public FabricCounts Counts => _options.Counts;

    public ConcurrentQueue<string> Log { get; } = [];

    public ConcurrentQueue<string> Gone { get; } = [];

    public static FabricOptions Options(TimeProvider time) => new()
    {
        ClusterId = "c",
        Name = "client",
        Time = time,
        PayloadBytes = 1 << 20,
        InFlightBytes = 4 << 20,
        FirstRedial = TimeSpan.FromMilliseconds(5),
        LongestRedial = TimeSpan.FromMilliseconds(20),
    };

    public async Task<Pair> ReadyAsync(FabricLane lane = FabricLane.Decode)
    {
        await Eventually.TrueAsync(() => Peer.IsReady(lane), "a connection");
        return this;
    }

    public ValueTask<byte[]> Send(byte[] head, byte[] payload, FabricLane lane = FabricLane.Decode, CancellationToken cancellation = default) =>
        TrySend(head, payload, lane, cancellation) ?? throw new InvalidOperationException("The call was not sent.");

    public ValueTask<byte[]>? TrySend(byte[] head, byte[] payload, FabricLane lane = FabricLane.Decode, CancellationToken cancellation = default)
    {
        PooledBytes bytes = PooledBytes.Rent(payload.Length);
        payload.CopyTo(bytes.Span);
        if (Peer.TrySend(lane, new BytesCall(), head, bytes, payload.Length, cancellation, out ValueTask<byte[]> reply) == SendOutcome.Taken)
            return reply;
        bytes.Return();
        return null;
    }

    /// <summary>One heartbeat of both ends, and time for the answers.</summary>
    public void Beat() => Time.Advance(TimeSpan.FromSeconds(1));

    public void ListenAgain() => Listener = new FabricListener(Listener.EndPoint, _options with { Name = "server", Counts = new() }, Service);

    public void Dispose()
    {
        Peer.Dispose();
        Listener.Dispose();
    }
}
