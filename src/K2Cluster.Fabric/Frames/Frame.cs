namespace K2Cluster.Fabric.Frames;

/// <summary>A frame that was read. Its head is valid until the next one is read; its payload belongs to the receiver.</summary>
internal readonly ref struct Frame(FrameHeader header, ReadOnlySpan<byte> head, PooledBytes payload)
{
    public FrameHeader Header { get; } = header;

    public ReadOnlySpan<byte> Head { get; } = head;

    public PooledBytes Payload { get; } = payload;
}
