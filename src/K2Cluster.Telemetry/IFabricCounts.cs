namespace K2Cluster.Telemetry;

/// <summary>What one side of the fabric in this process has done and has at the moment. Read on whatever thread collects.</summary>
public interface IFabricCounts
{
    long BytesSent { get; }

    long BytesReceived { get; }

    long FramesSent { get; }

    long FramesReceived { get; }

    /// <summary>Requests sent.</summary>
    long Calls { get; }

    /// <summary>Requests that waited for room before they were sent.</summary>
    long Waits { get; }

    /// <summary>Requests sent and not answered.</summary>
    long InFlight { get; }

    long Connections { get; }

    /// <summary>Connections made after one was lost.</summary>
    long Reconnects { get; }

    long ChecksumFailures { get; }
}
