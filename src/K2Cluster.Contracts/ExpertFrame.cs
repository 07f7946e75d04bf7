using System.Diagnostics;

namespace K2Cluster.Contracts;

/// <summary>
/// One message per (shard, layer, micro-batch): rows of hidden state and the experts asked of each. Pooled: dispose returns
/// the buffer. The payload is little endian: Rows × HiddenSize BF16, then Pairs × (row, expert) as int32 each.
/// </summary>
public sealed class ExpertFrame : PooledPayload
{
    /// <summary>The life of the shard that the frame is made for; unlike in every other life of every shard of that silo.</summary>
    public required long Incarnation { get; init; }

    /// <summary>The plan by which the frame was sent: for people and logs. A shard never refuses an older one.</summary>
    public required Epoch Epoch { get; init; }

    public required int Layer { get; init; }

    public required int Rows { get; init; }

    public required int Pairs { get; init; }

    public required int HiddenSize { get; init; }

    /// <summary>The sender's activity: the shard's work is a child of it, in process or not. Default when nobody listens.</summary>
    public ActivityContext Trace { get; init; }

    public static int PayloadLength(int rows, int pairs, int hiddenSize) => checked((rows * hiddenSize * sizeof(ushort)) + (pairs * 2 * sizeof(int)));
}
