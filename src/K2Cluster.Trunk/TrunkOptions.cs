namespace K2Cluster.Trunk;

/// <summary>How a <see cref="CpuTrunk"/> is made.</summary>
public sealed class TrunkOptions
{
    /// <summary>The layers that the trunk loads and runs; null (the default) for all.</summary>
    public LayerRange? Layers { get; init; }

    /// <summary>Most rows of one batch. Default 512. Each takes two FP32 hidden rows and its share of an expert batch.</summary>
    public int MaxRows { get; init; } = 512;

    /// <summary>
    /// Bytes for KV pages; as many pages are made as fit (<see cref="CpuTrunk.KvPageBytes"/> each). Default 1 GiB. The system
    /// provides the memory when it is first written.
    /// </summary>
    public long KvMemoryBytes { get; init; } = 1L << 30;

    /// <summary>
    /// From how many rows on a step is cut into two micro-batches, so that one computes here while the other's experts
    /// compute elsewhere. Default 64: a cut step reads the trunk's weights twice, which costs nothing only where the rows are
    /// many enough to keep the processor busy anyway. Experts that compute on the trunk's own threads
    /// (<see cref="Kernels.Experts.IExperts.ComputesOnCollect"/>) are never given half a step. The result does not depend on it.
    /// </summary>
    public int MicroBatchRows { get; init; } = 64;

    internal void Check()
    {
        // The router's and the experts' buffers of a batch are single arrays.
        if (MaxRows is < 1 or > 8192)
            throw new ArgumentException($"MaxRows is {MaxRows}; it must lie within 1..8192.");
        if (MicroBatchRows < 2)
            throw new ArgumentException($"MicroBatchRows is {MicroBatchRows}; a step needs at least 2 rows to be cut in two.");
    }
}
