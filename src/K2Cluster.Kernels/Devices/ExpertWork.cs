using K2Cluster.Kernels.Experts;

namespace K2Cluster.Kernels.Devices;

/// <summary>
/// Input and output of one forward call on a device: rows of one layer and the (row, expert) pairs asked of them.
/// The buffers are the device's own, so that no copy stands between the wire and the device.
/// </summary>
public abstract class ExpertWork : IDisposable
{
    protected ExpertWork(int maxRows, int maxPairs, int hiddenSize)
    {
        MaxRows = maxRows;
        MaxPairs = maxPairs;
        HiddenSize = hiddenSize;
    }

    public int MaxRows { get; }

    public int MaxPairs { get; }

    public int HiddenSize { get; }

    public int Layer { get; private set; }

    public int Rows { get; private set; }

    public int Pairs { get; private set; }

    /// <summary>[Rows, HiddenSize] in BF16.</summary>
    public abstract Span<ushort> Hidden { get; }

    /// <summary>[Pairs]: the row of each pair.</summary>
    public abstract Span<int> PairRows { get; }

    /// <summary>[Pairs]: the expert of each pair.</summary>
    public abstract Span<int> PairExperts { get; }

    /// <summary>[Pairs, HiddenSize] in BF16: unweighted outputs.</summary>
    public abstract Span<ushort> Outputs { get; }

    /// <summary>[Pairs].</summary>
    public abstract Span<PairStatus> Statuses { get; }

    /// <summary>Makes the buffers ready for a call; every pair is Pending.</summary>
    public void Reset(int layer, int rows, int pairs)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, MaxRows);
        ArgumentOutOfRangeException.ThrowIfNegative(pairs);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pairs, MaxPairs);
        Layer = layer;
        Rows = rows;
        Pairs = pairs;
        Statuses.Clear();
    }

    /// <summary>Makes the buffers ready for a whole batch: pair p is row p / experts per token and its expert.</summary>
    public void Set(ExpertBatch batch)
    {
        ReadOnlySpan<int> experts = batch.ExpertIds.Span;
        Reset(batch.Layer, batch.Rows, experts.Length);
        batch.Hidden.Span.CopyTo(Hidden);
        experts.CopyTo(PairExperts);
        Span<int> rows = PairRows;
        for (int pair = 0; pair < rows.Length; pair++)
            rows[pair] = pair / batch.ExpertsPerToken;
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
    }
}
