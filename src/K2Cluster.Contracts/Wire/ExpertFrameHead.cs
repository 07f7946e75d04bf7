using System.Buffers.Binary;

namespace K2Cluster.Contracts.Wire;

/// <summary>
/// What a frame says of itself where its payload travels beside it, little endian: version (1), incarnation (8), epoch (8 + 8),
/// layer, rows, pairs, hidden size (4 each), trace (25). The incarnation tells the shards of a silo apart.
/// </summary>
public static class ExpertFrameHead
{
    public const int Length = 1 + (3 * sizeof(long)) + (4 * sizeof(int)) + TraceWire.Length;

    private const byte Version = 1;

    public static void Write(Span<byte> head, ExpertFrame frame)
    {
        head[0] = Version;
        BinaryPrimitives.WriteInt64LittleEndian(head[1..], frame.Incarnation);
        BinaryPrimitives.WriteInt64LittleEndian(head[9..], frame.Epoch.Generation);
        BinaryPrimitives.WriteInt64LittleEndian(head[17..], frame.Epoch.Counter);
        BinaryPrimitives.WriteInt32LittleEndian(head[25..], frame.Layer);
        BinaryPrimitives.WriteInt32LittleEndian(head[29..], frame.Rows);
        BinaryPrimitives.WriteInt32LittleEndian(head[33..], frame.Pairs);
        BinaryPrimitives.WriteInt32LittleEndian(head[37..], frame.HiddenSize);
        TraceWire.Write(head[41..], frame.Trace);
    }

    /// <summary>The frame of a head, without its payload, which must have the length that the head says.</summary>
    /// <exception cref="FrameFormatException">It is not allowed.</exception>
    public static ExpertFrame Read(ReadOnlySpan<byte> head, int payloadLength)
    {
        if (head.Length != Length || head[0] != Version)
            throw new FrameFormatException($"{nameof(ExpertFrame)}: a head of {head.Length} bytes, version {(head.IsEmpty ? 0 : head[0])}; this process speaks {Version}, of {Length} bytes.");
        ExpertFrame frame = new()
        {
            Incarnation = BinaryPrimitives.ReadInt64LittleEndian(head[1..]),
            Epoch = new Epoch(BinaryPrimitives.ReadInt64LittleEndian(head[9..]), BinaryPrimitives.ReadInt64LittleEndian(head[17..])),
            Layer = BinaryPrimitives.ReadInt32LittleEndian(head[25..]),
            Rows = BinaryPrimitives.ReadInt32LittleEndian(head[29..]),
            Pairs = BinaryPrimitives.ReadInt32LittleEndian(head[33..]),
            HiddenSize = BinaryPrimitives.ReadInt32LittleEndian(head[37..]),
            Trace = TraceWire.Read(head[41..]),
        };
        return FrameLimits.AllowFrame(frame.Rows, frame.Pairs, frame.HiddenSize, payloadLength)
            ? frame
            : throw new FrameFormatException($"{nameof(ExpertFrame)}: {frame.Rows} rows, {frame.Pairs} pairs and hidden size {frame.HiddenSize} in {payloadLength} bytes.");
    }
}
