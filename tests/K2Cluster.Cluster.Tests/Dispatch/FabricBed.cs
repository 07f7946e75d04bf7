using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using System.Runtime.InteropServices;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Fabric;
using K2Cluster.Grains.Shards;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Dispatch;

/// <summary>A shard behind a fabric listener, a proxy before it, and a channel to it; only the grain call beside it is made up.</summary>
internal sealed class FabricBed : IDisposable
{
    public static readonly ExpertGrid Grid = new(1, 3, 12);
    public static readonly SiloAddress Silo = SiloAddress.New(new IPEndPoint(IPAddress.Loopback, 1), 7);

    private readonly ClusterOptions _cluster = new() { Mode = ClusterMode.Localhost, ClusterId = "m", SiloName = "gateway", HostsShards = false };
    private readonly ShardSet _shards = new();
    private readonly FabricListener _listener;

    /// <param name="security">TLS, if any.</param>
    /// <param name="slots">Calls of a connection in flight, at most.</param>
    public FabricBed(FabricSecurity? security = null, int slots = 1024)
    {
        ShardFabricService service = new();
        ServerCounts = new FabricCounts();
        _listener = new FabricListener(new IPEndPoint(IPAddress.Loopback, 0), FabricDefaults.Options(_cluster, security, Time) with { Name = "silo", Slots = slots, Counts = ServerCounts }, service);
        Proxy = new TcpProxy(_listener.EndPoint);
        Device = new MadeUpDevice(Batches.HiddenSize, 1000);
        PlannedShard identity = new(new ShardId("m", "silo", 0), 42, "cpu", "int4-g32", Proxy.EndPoint.ToString(), Silo);
        Shard = new ExpertShard(identity, Grid, Device, new NoTensors(), Time);
        _shards.Add(Shard);
        service.Serve(_shards);
        Peers = new FabricPeers(_cluster, Membership, Time, NullLogger<FabricPeers>.Instance, security);
        Fallback = new MadeUpChannels.Channel(identity.Id);
        Channel = new FabricChannel(identity, Proxy.EndPoint, Peers, Fallback);
    }

    public FakeTimeProvider Time { get; } = new();

    public Membership Membership { get; } = new();

    public FabricCounts ServerCounts { get; }

    public TcpProxy Proxy { get; }

    public MadeUpDevice Device { get; }

    public ExpertShard Shard { get; }

    public FabricPeers Peers { get; }

    public MadeUpChannels.Channel Fallback { get; }

    public FabricChannel Channel { get; }

    /// <summary>All experts loaded, both lanes connected.</summary>
    public async Task<FabricBed> ReadyAsync()
    {
        Shard.Assign(new ShardAssignment(new Epoch(1, 1), [.. Enumerable.Range(0, Grid.Count)], []));
        await Eventually.TrueAsync(() => Shard.Report.Loading == 0 && Peers.Counts.Connections == 2 && ServerCounts.Connections == 2, "experts and connections");
        return this;
    }

    /// <summary>A frame of rows that all ask expert 3 of layer 1.</summary>
    public static ExpertFrame Frame(int rows = 1, long incarnation = 42)
    {
        ExpertFrame frame = new() { Incarnation = incarnation, Epoch = new Epoch(1, 1), Layer = 1, Rows = rows, Pairs = rows, HiddenSize = Batches.HiddenSize };
        frame.Rent(ExpertFrame.PayloadLength(rows, rows, Batches.HiddenSize));
        frame.Payload.Span.Clear();
        Span<int> pairs = MemoryMarshal.Cast<byte, int>(frame.Payload.Span[(rows * Batches.HiddenSize * 2)..]);
        for (int row = 0; row < rows; row++)
            (pairs[2 * row], pairs[(2 * row) + 1]) = (row, 3);
        return frame;
    }

    public async Task<ExpertReply> CallAsync(int rows = 1, long incarnation = 42, CancellationToken cancellation = default) =>
        await Channel.SubmitAsync(Frame(rows, incarnation), cancellation);

    /// <summary>Heartbeats that nobody waits to hear.</summary>
    public void Beat(int times = 1)
    {
        for (int i = 0; i < times; i++)
            Time.Advance(TimeSpan.FromSeconds(1));
    }

    /// <summary>Heartbeats of both ends, each heard before the next.</summary>
    public async Task BeatHeardAsync(int times = 1)
    {
        for (int i = 0; i < times; i++)
        {
            long before = Peers.Counts.FramesReceived;
            Beat();
            await Eventually.TrueAsync(() => Peers.Counts.FramesReceived >= before + 4, "a ping and a pong on each lane");
        }
    }

    public void StopListening() => _listener.Dispose();

    public void Dispose()
    {
        Channel.Dispose();
        Peers.Dispose();
        Proxy.Dispose();
        _listener.Dispose();
        _shards.Dispose();
    }
}

/// <summary>Whom somebody wanted dead.</summary>
internal sealed class Membership : IClusterMembershipService
{
    public ConcurrentQueue<SiloAddress> Killed { get; } = [];

    public ClusterMembershipSnapshot CurrentSnapshot { get; } = new(ImmutableDictionary<SiloAddress, ClusterMember>.Empty, default);

    public IAsyncEnumerable<ClusterMembershipSnapshot> MembershipUpdates => throw new NotSupportedException();

    public ValueTask Refresh(MembershipVersion minimumVersion = default, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

    public Task<bool> TryKill(SiloAddress siloAddress)
    {
        Killed.Enqueue(siloAddress);
        return Task.FromResult(true);
    }
}
