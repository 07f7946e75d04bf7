using K2Cluster.Kernels.Experts;

namespace K2Cluster.Trunk;

/// <summary>
/// Runs ranges of layers for batches. Used by one thread. Running [0, a) and then [a, n) with the same batch gives the
/// same bits as running [0, n) at once: the rows stay in the trunk's own buffers between calls.
/// </summary>
public interface ITrunk : IDisposable
{
    /// <summary>Tokens in a KV page.</summary>
    const int PageTokens = 64;

    int LayerCount { get; }

    int HiddenSize { get; }

    int VocabularySize { get; }

    /// <summary>Positions that the model was made for (max_position_embeddings).</summary>
    int MaxPositions { get; }

    /// <summary>KV pages there are; page ids run from 0.</summary>
    int PageCount { get; }

    /// <summary>Most rows of one batch.</summary>
    int MaxRows { get; }

    /// <summary>
    /// Runs <paramref name="layers"/> for the batch. When the range ends with the last layer, the result holds the logits.
    /// A sequence whose rows were not all answered by the experts gets their status; its KV beyond the positions it had
    /// before the step is undefined and is written again when it is replayed.
    /// </summary>
    void Run(TrunkBatch batch, LayerRange layers, TrunkResult result);

    /// <summary>Copies the rows [batch rows, HiddenSize] in FP32 out of the trunk, to hand them to the next stage.</summary>
    void ReadRows(Span<float> destination);

    /// <summary>Sets the rows that the next <see cref="Run"/> of a range that does not begin at 0 starts from.</summary>
    void WriteRows(ReadOnlySpan<float> source);
}

/// <summary>What a step gave. Reused from step to step.</summary>
public sealed class TrunkResult
{
    private float[] _logits = [];
    private int _logitRows;
    private int _vocabularySize;

    /// <summary>Status of each sequence of the batch, in its order.</summary>
    public List<RowStatus> Statuses { get; } = [];

    /// <summary>Why the first sequence that is not Done is not, in words.</summary>
    public string? Problem { get; set; }

    /// <summary>Number of rows that asked for logits.</summary>
    public int LogitRows => _logitRows;

    /// <summary>FP32 logits of the i-th row that asked for them, in row order. Undefined when its sequence is not Done.</summary>
    public Span<float> Logits(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)_logitRows);
        return _logits.AsSpan(index * _vocabularySize, _vocabularySize);
    }

    /// <summary>Makes room for a step; called by the trunk.</summary>
    public void Reset(int sequences, int logitRows, int vocabularySize)
    {
        Statuses.Clear();
        for (int i = 0; i < sequences; i++)
            Statuses.Add(RowStatus.Done);
        Problem = null;
        _logitRows = logitRows;
        _vocabularySize = vocabularySize;
        if (_logits.Length < logitRows * vocabularySize)
            _logits = GC.AllocateUninitializedArray<float>(logitRows * vocabularySize);
    }
}
