using System.Net;
using K2Cluster.Contracts.Wire;
using K2Cluster.Fabric;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>The fabric to one silo, which its shards share, and what the silo says of their devices.</summary>
internal sealed class SiloPeer : IDisposable
{
    private readonly FabricPeer _peer;
    private long[] _hung = [];

    /// <param name="name">The silo's, for messages.</param>
    /// <param name="endPoint">Where it listens.</param>
    /// <param name="options">Who this end is, and its limits.</param>
    /// <param name="onGone">Told, with the reason, when its process is gone.</param>
    /// <param name="log">Told why a connection ended.</param>
    public SiloPeer(string name, IPEndPoint endPoint, FabricOptions options, Action<string> onGone, Action<string> log)
    {
        _peer = new FabricPeer(name, endPoint, options, log);
        _peer.Gone += onGone;
        _peer.Ponged += OnPong;

        // Asking connects: so the first frame finds a connection.
        foreach (FabricLane lane in Enum.GetValues<FabricLane>())
            _peer.IsReady(lane);
    }

    public bool IsGone => _peer.IsGone;

    public bool IsSilent => _peer.IsSilent;

    /// <summary>Whether the silo says that the device of a shard hangs.</summary>
    public bool IsHung(long incarnation) => Array.IndexOf(Volatile.Read(ref _hung), incarnation) >= 0;

    public SendOutcome TrySend<TResult>(FabricLane lane, FabricCall<TResult> call, ReadOnlySpan<byte> head, PooledBytes payload, int replyBytes, CancellationToken cancellationToken, out ValueTask<TResult> reply) =>
        _peer.TrySend(lane, call, head, payload, replyBytes, cancellationToken, out reply);

    /// <summary>Ends when what is in flight is answered.</summary>
    public void Dispose() => _peer.Dispose();

    private void OnPong(ReadOnlySpan<byte> head)
    {
        List<long>? hung = null;
        for (int i = 0; ShardProgress.TryRead(head, i, out ShardProgress progress); i++)
        {
            if (progress.IsHung)
                (hung ??= []).Add(progress.Incarnation);
        }

        Volatile.Write(ref _hung, hung is null ? [] : [.. hung]);
    }
}
