using System.Numerics;
using System.Runtime.InteropServices;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>What has become of each (row, expert) of a batch so far. Reused batch after batch.</summary>
internal sealed class DispatchPairs
{
    private PairStatus[] _statuses = [];

    /// <summary>Whether the pair waits for a call.</summary>
    private bool[] _asked = [];

    /// <summary>How many replicas gave the pair no finite numbers, and the first of them.</summary>
    private (int Count, RouteTable? Routes, int Shard)[] _faults = [];
    private bool _hasFaults;

    public int Count { get; private set; }

    public Span<PairStatus> Statuses => _statuses.AsSpan(0, Count);

    public bool HasPending => Statuses.Contains(PairStatus.Pending);

    /// <summary>Whether a pair has no answer and waits for none.</summary>
    public bool HasOpen
    {
        get
        {
            for (int pair = 0; pair < Count; pair++)
            {
                if (IsOpen(pair))
                    return true;
            }

            return false;
        }
    }

    public void Begin(int count)
    {
        Count = count;
        if (_statuses.Length < count)
            (_statuses, _asked, _faults) = (new PairStatus[count], new bool[count], new (int, RouteTable?, int)[count]);
        Statuses.Clear();
        _asked.AsSpan(0, count).Clear();
        if (_hasFaults)
            _faults.AsSpan().Clear();
        _hasFaults = false;
    }

    /// <summary>Whether the pair has no answer and waits for none.</summary>
    public bool IsOpen(int pair) => _statuses[pair] == PairStatus.Pending && !_asked[pair];

    public bool IsPending(int pair) => _statuses[pair] == PairStatus.Pending;

    public void Set(int pair, PairStatus status) => _statuses[pair] = status;

    /// <summary>Notes whether the pairs that wait for a call do so.</summary>
    public void SetAsked(DispatchCall call, bool asked)
    {
        ReadOnlySpan<int> pairs = call.Pairs;
        for (int i = 0; i < pairs.Length; i++)
        {
            if (call.Holds(i))
                _asked[pairs[i]] = asked;
        }
    }

    /// <summary>Gives what is open, or all that is pending, a last status.</summary>
    public void Finish(PairStatus status, bool openOnly = false)
    {
        for (int pair = 0; pair < Count; pair++)
        {
            if (openOnly ? IsOpen(pair) : IsPending(pair))
                _statuses[pair] = status;
        }
    }

    /// <summary>Notes that a replica gave no finite numbers for a pair; how many have by now.</summary>
    public int AddFault(int pair, RouteTable routes, int shard)
    {
        _hasFaults = true;
        (int count, RouteTable? first, int firstShard) = _faults[pair];
        _faults[pair] = count == 0 ? (1, routes, shard) : (count + 1, first, firstShard);
        return count + 1;
    }

    /// <summary>The replica, by its routes and its index in them, that gave no finite numbers for a pair; null when there is none.</summary>
    public (RouteTable Routes, int Shard)? FaultOf(int pair)
    {
        (_, RouteTable? routes, int shard) = _faults[pair];
        return _hasFaults && routes is not null ? (routes, shard) : null;
    }

    /// <summary>Whether a reply that says Computed has the sizes and statuses that it must have.</summary>
    public static bool IsWhole(ExpertReply reply, int count, int hiddenSize)
    {
        if (reply.Pairs != count || reply.HiddenSize != hiddenSize || reply.Length != ExpertReply.PayloadLength(count, hiddenSize))
            return false;
        foreach (byte status in reply.Payload.Span[..count])
        {
            if ((PairStatus)status is not (PairStatus.Done or PairStatus.NotHeld or PairStatus.Failed))
                return false;
        }

        return true;
    }

    /// <summary>Copies one result of a reply to its place in the batch. False, and nothing is copied, when it has a NaN or an infinity.</summary>
    public static bool TryCopy(ExpertReply reply, int index, ExpertBatch batch, int pair)
    {
        int hiddenSize = batch.HiddenSize;
        ReadOnlySpan<ushort> result = MemoryMarshal.Cast<byte, ushort>(reply.Payload.Span[ExpertReply.StatusLength(reply.Pairs)..]).Slice(index * hiddenSize, hiddenSize);
        if (!IsFinite(result))
            return false;
        result.CopyTo(batch.Outputs.Span.Slice(pair * hiddenSize, hiddenSize));
        return true;
    }

    /// <summary>A row is Done if all its pairs are; Failed if one failed, as a replay would meet that again; else Unavailable.</summary>
    public void SetRows(ExpertBatch batch)
    {
        Span<RowStatus> rows = batch.Statuses.Span;
        int width = batch.ExpertsPerToken;
        for (int row = 0; row < rows.Length; row++)
        {
            ReadOnlySpan<PairStatus> pairs = _statuses.AsSpan(row * width, width);
            rows[row] = pairs.Contains(PairStatus.Failed) ? RowStatus.Failed
                : pairs.IndexOfAnyExcept(PairStatus.Done) >= 0 ? RowStatus.Unavailable
                : RowStatus.Done;
        }
    }

    /// <summary>BF16: an exponent of ones only is an infinity or a NaN.</summary>
    private static bool IsFinite(ReadOnlySpan<ushort> values)
    {
        const ushort exponent = 0x7F80;
        int i = 0;
        if (Vector.IsHardwareAccelerated)
        {
            Vector<ushort> ones = new(exponent);
            ReadOnlySpan<Vector<ushort>> blocks = MemoryMarshal.Cast<ushort, Vector<ushort>>(values);
            foreach (Vector<ushort> block in blocks)
            {
                if (Vector.EqualsAny(block & ones, ones))
                    return false;
            }

            i = blocks.Length * Vector<ushort>.Count;
        }

        for (; i < values.Length; i++)
        {
            if ((values[i] & exponent) == exponent)
                return false;
        }

        return true;
    }
}
