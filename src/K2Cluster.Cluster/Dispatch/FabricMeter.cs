using K2Cluster.Fabric;
using K2Cluster.Telemetry;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>What the fabric counts, as telemetry asks for it.</summary>
internal sealed class FabricMeter(FabricCounts counts) : IFabricCounts
{
    public long BytesSent => counts.BytesSent;

    public long BytesReceived => counts.BytesReceived;

    public long FramesSent => counts.FramesSent;

    public long FramesReceived => counts.FramesReceived;

    public long Calls => counts.Calls;

    public long Waits => counts.Waits;

    public long InFlight => counts.InFlight;

    public long Connections => counts.Connections;

    public long Reconnects => counts.Redials;

    public long ChecksumFailures => counts.ChecksumFailures;
}
