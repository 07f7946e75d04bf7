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
    /// A range that begins at 0 starts the step; another goes on with the statuses that <paramref name="result"/> has from the
    /// range before, so that a sequence that left the step stays out of it. Page copies are made in the layers of the range.
    /// A sequence whose rows were not all answered by the experts gets their status; its KV beyond the positions it had
    /// before the step is undefined and is written again when it is replayed.
    /// </summary>
    void Run(TrunkBatch batch, LayerRange layers, TrunkResult result);

    /// <summary>Copies the rows [batch rows, HiddenSize] in FP32 out of the trunk, to hand them to the next stage.</summary>
    void ReadRows(Span<float> destination);

    /// <summary>
    /// Sets the rows that the next <see cref="Run"/> of a range that does not begin at 0 starts from. Its result then tells
    /// which sequences left the step before: give it the statuses of the stage before, or clear them.
    /// </summary>
    void WriteRows(ReadOnlySpan<float> source);
}
