using K2Cluster.Fabric.Connections;

namespace K2Cluster.Fabric;

/// <summary>A request that a peer waits for. One object serves a slot of a connection, request after request: whoever has answered it lets go of it.</summary>
public sealed class FabricRequest
{
    private readonly ServerConnection _connection;
    private ulong _id;
    private volatile bool _isCancelled;

    internal FabricRequest(ServerConnection connection) => _connection = connection;

    /// <summary>Whether nobody waits for it any more. It is answered nevertheless, with whatever is the least work.</summary>
    public bool IsCancelled => _isCancelled;

    /// <summary>What the service keeps from request to request of this slot, such as an object that it would make each time.</summary>
    public object? State { get; set; }

    /// <summary>Zero: free. Written under the connection's lock.</summary>
    internal ulong Id => _id;

    /// <summary>Answers; the payload is taken, also when the peer is gone.</summary>
    /// <param name="head">At most 1 KiB.</param>
    /// <param name="payload">At most <see cref="FabricOptions.PayloadBytes"/>.</param>
    public void Reply(ReadOnlySpan<byte> head, PooledBytes payload) => _connection.Reply(this, head, payload);

    /// <summary>Answers that it was not done, and why: the call fails with the text.</summary>
    public void Refuse(string reason) => _connection.Refuse(this, reason);

    /// <summary>Of its payload.</summary>
    internal int Bytes { get; private set; }

    internal void Begin(ulong id, int bytes)
    {
        _isCancelled = false;
        (_id, Bytes) = (id, bytes);
    }

    internal void Cancel() => _isCancelled = true;

    internal void Free() => _id = 0;
}
