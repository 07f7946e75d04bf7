namespace K2Cluster.Kernels.Experts;

/// <summary>
/// The routed work of one MoE layer for one micro-batch: what the trunk hands to <see cref="IExperts"/> and gets back filled in.
/// Plain buffers, made once and reused. From submit to collect they belong to the callee.
/// </summary>
public sealed class ExpertBatch
{
    private readonly ushort[] _hidden;
    private readonly int[] _expertIds;
    private readonly ushort[] _outputs;
    private readonly RowStatus[] _statuses;

    public ExpertBatch(int maxRows, int hiddenSize, int expertsPerToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxRows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(hiddenSize);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(expertsPerToken);
        MaxRows = maxRows;
        HiddenSize = hiddenSize;
        ExpertsPerToken = expertsPerToken;
        _hidden = new ushort[maxRows * hiddenSize];
        _expertIds = new int[maxRows * expertsPerToken];
        _outputs = new ushort[maxRows * expertsPerToken * hiddenSize];
        _statuses = new RowStatus[maxRows];
    }

    public int MaxRows { get; }

    public int HiddenSize { get; }

    /// <summary>The model's top-k.</summary>
    public int ExpertsPerToken { get; }

    /// <summary>The layer whose experts are asked.</summary>
    public int Layer { get; private set; }

    public int Rows { get; private set; }

    /// <summary>[Rows, HiddenSize] in BF16.</summary>
    public Memory<ushort> Hidden => _hidden.AsMemory(0, Rows * HiddenSize);

    /// <summary>[Rows, ExpertsPerToken]: expert ids in the token's own top-k order.</summary>
    public Memory<int> ExpertIds => _expertIds.AsMemory(0, Rows * ExpertsPerToken);

    /// <summary>[Rows, ExpertsPerToken, HiddenSize] in BF16: one row per (token, expert), unweighted. Valid where the row is Done.</summary>
    public Memory<ushort> Outputs => _outputs.AsMemory(0, Rows * ExpertsPerToken * HiddenSize);

    /// <summary>[Rows].</summary>
    public Memory<RowStatus> Statuses => _statuses.AsMemory(0, Rows);

    /// <summary>Why the first row that is not Done is not, in words; null when all are.</summary>
    public string? Problem { get; set; }

    /// <summary>Makes the batch ready for another layer or micro-batch; every row is Pending.</summary>
    public void Reset(int layer, int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rows, MaxRows);
        Layer = layer;
        Rows = rows;
        Problem = null;
        _statuses.AsSpan(0, rows).Clear();
    }
}
