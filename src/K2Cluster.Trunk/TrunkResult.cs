using K2Cluster.Kernels.Experts;

namespace K2Cluster.Trunk;

/// <summary>What a step gave. Reused from step to step.</summary>
public sealed class TrunkResult
{
    private float[] _logits = [];
    private int _logitRows;
    private int _vocabularySize;

    /// <summary>Status of each sequence of the batch, in its order.</summary>
    public List<RowStatus> Statuses { get; } = [];

    /// <summary>Why the first of the worst sequences is not Done, in words; null when all are.</summary>
    public string? Problem { get; set; }

    /// <summary>Number of rows that asked for logits; 0 when the range did not end with the last layer.</summary>
    public int LogitRows => _logitRows;

    /// <summary>FP32 logits of the i-th row that asked for them, in row order. Undefined when its sequence is not Done.</summary>
    public Span<float> Logits(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)_logitRows);
        return Logits(index, 1);
    }

    /// <summary>Makes room for a step; called by the trunk.</summary>
    /// <param name="sequences">Sequences of the batch.</param>
    /// <param name="logitRows">Rows of logits that will come.</param>
    /// <param name="vocabularySize">Their length.</param>
    /// <param name="goOn">Keeps the statuses and the problem of the range before, if they are of as many sequences.</param>
    public void Reset(int sequences, int logitRows, int vocabularySize, bool goOn = false)
    {
        if (!goOn || Statuses.Count != sequences)
        {
            Statuses.Clear();
            for (int i = 0; i < sequences; i++)
                Statuses.Add(RowStatus.Done);
            Problem = null;
        }

        long size = (long)logitRows * vocabularySize;
        if (size > Array.MaxLength)
            throw new ArgumentException($"{logitRows} rows of {vocabularySize} logits are more than an array holds: ask for fewer in one step.", nameof(logitRows));
        _logitRows = logitRows;
        _vocabularySize = vocabularySize;
        if (_logits.Length < size)
            _logits = GC.AllocateUninitializedArray<float>((int)size);
    }

    /// <summary>Reports what became of a sequence: the worst status of its rows, and the words of the worst of all, hold.</summary>
    public void Report(int sequence, RowStatus status, string problem)
    {
        if (Statuses.TrueForAll(other => other < status))
            Problem = problem;
        if (status > Statuses[sequence])
            Statuses[sequence] = status;
    }

    /// <summary>The logits of consecutive rows, one after the other.</summary>
    internal Span<float> Logits(int index, int count) => _logits.AsSpan(index * _vocabularySize, count * _vocabularySize);
}
