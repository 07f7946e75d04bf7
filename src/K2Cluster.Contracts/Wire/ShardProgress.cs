using System.Buffers.Binary;

namespace K2Cluster.Contracts.Wire;

/// <summary>
/// What a silo says of a device in answer to a heartbeat: that its worker gets on, not only that a socket answers. Little
/// endian: incarnation of the shard (8), milliseconds that its present call takes already (4), whether it hangs (1).
/// </summary>
/// <param name="Incarnation">Which shard, in which life.</param>
/// <param name="Milliseconds">0 when it has nothing to do.</param>
/// <param name="IsHung">Whether that is far beyond its pace, as the silo knows it.</param>
public readonly record struct ShardProgress(long Incarnation, int Milliseconds, bool IsHung)
{
    public const int Length = sizeof(long) + sizeof(int) + 1;

    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteInt64LittleEndian(bytes, Incarnation);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[8..], Milliseconds);
        bytes[12] = IsHung ? (byte)1 : (byte)0;
    }

    /// <summary>The entry at an index; bytes that make no whole entry are of another version and none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, int index, out ShardProgress progress)
    {
        progress = default;
        if (bytes.Length < (index + 1) * Length)
            return false;
        bytes = bytes[(index * Length)..];
        progress = new ShardProgress(BinaryPrimitives.ReadInt64LittleEndian(bytes), BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]), bytes[12] != 0);
        return true;
    }
}
