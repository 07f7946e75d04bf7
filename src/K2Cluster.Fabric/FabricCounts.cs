namespace K2Cluster.Fabric;

/// <summary>What the connections of a process did and do. Written by their threads, read by whoever collects.</summary>
public sealed class FabricCounts
{
    private long _bytesSent;
    private long _bytesReceived;
    private long _calls;
    private long _inFlight;
    private long _connections;
    private long _redials;

    public long BytesSent => Volatile.Read(ref _bytesSent);

    public long BytesReceived => Volatile.Read(ref _bytesReceived);

    /// <summary>Requests sent.</summary>
    public long Calls => Volatile.Read(ref _calls);

    /// <summary>Requests sent and not answered.</summary>
    public long InFlight => Volatile.Read(ref _inFlight);

    /// <summary>Connections that are past their handshake.</summary>
    public long Connections => Volatile.Read(ref _connections);

    /// <summary>Connections made after one was lost.</summary>
    public long Redials => Volatile.Read(ref _redials);

    internal void Sent(int bytes) => Interlocked.Add(ref _bytesSent, bytes);

    internal void Received(int bytes) => Interlocked.Add(ref _bytesReceived, bytes);

    internal void Called()
    {
        Interlocked.Increment(ref _calls);
        Interlocked.Increment(ref _inFlight);
    }

    internal void Answered(int calls) => Interlocked.Add(ref _inFlight, -calls);

    internal void Connected() => Interlocked.Increment(ref _connections);

    internal void Disconnected() => Interlocked.Decrement(ref _connections);

    internal void Redialled() => Interlocked.Increment(ref _redials);
}
