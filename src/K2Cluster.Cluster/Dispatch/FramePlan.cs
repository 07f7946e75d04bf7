using System.Diagnostics;
using System.Runtime.InteropServices;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>The pairs of a batch ordered by shard, those of a shard by row, and the frames made of them. Its buffers are reused.</summary>
internal sealed class FramePlan(int maxPairs)
{
    private readonly int[] _pairs = new int[maxPairs];
    private readonly int[] _shards = new int[maxPairs];
    private readonly int[] _order = new int[maxPairs];
    private int[] _starts = [];
    private int _count;
    private int _shardCount;

    /// <summary>How many pairs there is room for.</summary>
    public int MaxPairs => _pairs.Length;

    public void Begin(int shards)
    {
        if (_starts.Length <= shards + 1)
            _starts = new int[shards + 2];
        _starts.AsSpan().Clear();
        (_count, _shardCount) = (0, shards);
    }

    /// <summary>Adds a pair (row × experts per token + k); pairs come in rising order.</summary>
    public void Add(int pair, int shard)
    {
        _pairs[_count] = pair;
        _shards[_count++] = shard;
        _starts[shard + 2]++;
    }

    /// <summary>Orders what was added: a counting sort, which keeps the pairs of a shard in their order.</summary>
    public void Group()
    {
        for (int shard = 2; shard <= _shardCount + 1; shard++)
            _starts[shard] += _starts[shard - 1];
        for (int i = 0; i < _count; i++)
            _order[_starts[_shards[i] + 1]++] = _pairs[i];
    }

    /// <summary>Where a shard's pairs are in the order; after <see cref="Group"/>.</summary>
    public (int Start, int End) Range(int shard) => (_starts[shard], _starts[shard + 1]);

    public ReadOnlySpan<int> Pairs(int start, int count) => _order.AsSpan(start, count);

    /// <summary>Makes a frame of a range of the order: each row once, however many experts it asks.</summary>
    public ExpertFrame Build(ExpertBatch batch, int start, int count, long incarnation, Epoch epoch, ActivityContext trace)
    {
        ReadOnlySpan<int> pairs = Pairs(start, count);
        int width = batch.ExpertsPerToken;
        int rows = 0;
        for (int i = 0, last = -1; i < count; last = pairs[i++] / width)
            rows += pairs[i] / width == last ? 0 : 1;

        int hiddenSize = batch.HiddenSize;
        ExpertFrame frame = new()
        {
            Incarnation = incarnation,
            Epoch = epoch,
            Layer = batch.Layer,
            Rows = rows,
            Pairs = count,
            HiddenSize = hiddenSize,
            Trace = trace,
        };
        frame.Rent(ExpertFrame.PayloadLength(rows, count, hiddenSize));
        ReadOnlySpan<ushort> hidden = batch.Hidden.Span;
        ReadOnlySpan<int> experts = batch.ExpertIds.Span;
        Span<byte> payload = frame.Payload.Span;
        int rowBytes = rows * hiddenSize * sizeof(ushort);
        Span<ushort> frameRows = MemoryMarshal.Cast<byte, ushort>(payload[..rowBytes]);
        Span<int> framePairs = MemoryMarshal.Cast<byte, int>(payload[rowBytes..]);
        for (int i = 0, frameRow = -1, last = -1; i < count; i++)
        {
            int row = pairs[i] / width;
            if (row != last)
            {
                hidden.Slice(row * hiddenSize, hiddenSize).CopyTo(frameRows.Slice(++frameRow * hiddenSize, hiddenSize));
                last = row;
            }

            framePairs[2 * i] = frameRow;
            framePairs[(2 * i) + 1] = experts[pairs[i]];
        }

        return frame;
    }
}
