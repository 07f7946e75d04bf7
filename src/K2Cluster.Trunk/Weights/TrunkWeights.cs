using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Trunk.Weights;

/// <summary>What a trunk holds of a model.</summary>
internal sealed class TrunkWeights : IDisposable
{
    private readonly IReadOnlyList<IDisposable> _owned;

    /// <param name="owned">All native memory of the weights.</param>
    public TrunkWeights(IReadOnlyList<IDisposable> owned) => _owned = owned;

    /// <summary>Null where the range does not begin at layer 0.</summary>
    public required EmbeddingTable? Embedding { get; init; }

    /// <summary>The layers of the range, the first at index 0.</summary>
    public required LayerWeights[] Layers { get; init; }

    /// <summary>[hidden]; null where the range does not end with the last layer.</summary>
    public required float[]? FinalNorm { get; init; }

    /// <summary>[vocabulary, hidden]; null where the range does not end with the last layer.</summary>
    public required Bf16Matrix? Head { get; init; }

    public void Dispose()
    {
        foreach (IDisposable memory in _owned)
            memory.Dispose();
    }
}
