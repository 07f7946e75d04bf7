using System.Buffers;

namespace K2Cluster.Contracts;

/// <summary>
/// One message per (shard, layer, micro-batch): rows of hidden state and the experts asked of each. Pooled: dispose returns
/// the buffer. The payload is little endian: Rows × HiddenSize BF16, then Pairs × (row, expert) as int32 each.
/// </summary>
public sealed class ExpertFrame : PooledPayload
{
    public required ShardId Shard { get; init; }

    public required long Incarnation { get; init; }

    public required Epoch Epoch { get; init; }

    public required int Layer { get; init; }

    public required int Rows { get; init; }

    public required int Pairs { get; init; }

    public required int HiddenSize { get; init; }

    public static int PayloadLength(int rows, int pairs, int hiddenSize) => checked((rows * hiddenSize * sizeof(ushort)) + (pairs * 2 * sizeof(int)));
}

/// <summary>
/// The answer to an <see cref="ExpertFrame"/>. Payload: Pairs status bytes padded to a multiple of 8, then Pairs × HiddenSize BF16.
/// </summary>
public sealed class ExpertReply : PooledPayload
{
    public required ReplyStatus Status { get; init; }

    public required int Pairs { get; init; }

    public required int HiddenSize { get; init; }

    public static int PayloadLength(int pairs, int hiddenSize) => checked(StatusLength(pairs) + (pairs * hiddenSize * sizeof(ushort)));

    /// <summary>Bytes that the padded statuses take.</summary>
    public static int StatusLength(int pairs) => (pairs + 7) & ~7;
}

/// <summary>Whether a frame was taken at all.</summary>
public enum ReplyStatus : byte
{
    /// <summary>Each pair has its own status.</summary>
    Computed,

    /// <summary>The frame was made for another life of the shard: fetch the plan and send again.</summary>
    WrongIncarnation,

    /// <summary>The shard's queue is full: try a replica, or again later.</summary>
    Busy,

    /// <summary>The frame is malformed: wrong sizes, ids or layer.</summary>
    Malformed,
}

/// <summary>A rented byte buffer with one owner.</summary>
public abstract class PooledPayload : IDisposable
{
    private byte[]? _buffer;

    protected PooledPayload()
    {
    }

    public int Length { get; private set; }

    /// <summary>The payload's bytes.</summary>
    public Memory<byte> Payload => (_buffer ?? throw new ObjectDisposedException(GetType().Name)).AsMemory(0, Length);

    /// <summary>Rents room for <paramref name="length"/> bytes; called once, by who fills it.</summary>
    public void Rent(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        _buffer = ArrayPool<byte>.Shared.Rent(length);
        Length = length;
    }

    public void Dispose()
    {
        byte[]? buffer = Interlocked.Exchange(ref _buffer, null);
        if (buffer is not null)
            ArrayPool<byte>.Shared.Return(buffer);
        GC.SuppressFinalize(this);
    }
}
