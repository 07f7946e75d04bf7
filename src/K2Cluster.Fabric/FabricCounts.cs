namespace K2Cluster.Fabric;

/// <summary>What the connections of a process did and do. Written by their threads, read by whoever collects.</summary>
public sealed class FabricCounts
{
    private long _bytesSent;
    private long _bytesReceived;
    private long _calls;
    private long _waits;
    private long _inFlight;
    private long _connections;
    private long _redials;
    private long _framesSent;
    private long _framesReceived;
    private long _checksumFailures;

    public long BytesSent => Volatile.Read(ref _bytesSent);

    public long BytesReceived => Volatile.Read(ref _bytesReceived);

    public long FramesSent => Volatile.Read(ref _framesSent);

    public long FramesReceived => Volatile.Read(ref _framesReceived);

    /// <summary>Frames whose checksum was wrong; each has ended its connection.</summary>
    public long ChecksumFailures => Volatile.Read(ref _checksumFailures);

    /// <summary>Requests sent.</summary>
    public long Calls => Volatile.Read(ref _calls);

    /// <summary>Requests that waited for room before they were sent.</summary>
    public long Waits => Volatile.Read(ref _waits);

    /// <summary>Requests sent and not answered.</summary>
    public long InFlight => Volatile.Read(ref _inFlight);

    /// <summary>Connections that are past their handshake.</summary>
    public long Connections => Volatile.Read(ref _connections);

    /// <summary>Connections made after one was lost.</summary>
    public long Redials => Volatile.Read(ref _redials);

    internal void Sent(int bytes)
    {
        Interlocked.Add(ref _bytesSent, bytes);
        Interlocked.Increment(ref _framesSent);
    }

    internal void Received(int bytes)
    {
        Interlocked.Add(ref _bytesReceived, bytes);
        Interlocked.Increment(ref _framesReceived);
    }

    internal void ChecksumFailed() => Interlocked.Increment(ref _checksumFailures);

    internal void Called()
    {
        Interlocked.Increment(ref _calls);
        Interlocked.Increment(ref _inFlight);
    }

    internal void Waited() => Interlocked.Increment(ref _waits);

    internal void Answered(int calls) => Interlocked.Add(ref _inFlight, -calls);

    internal void Connected() => Interlocked.Increment(ref _connections);

    internal void Disconnected() => Interlocked.Decrement(ref _connections);

    internal void Redialled() => Interlocked.Increment(ref _redials);
}
