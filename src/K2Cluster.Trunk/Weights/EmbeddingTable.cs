using K2Cluster.Kernels.Matrices;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Trunk.Weights;

/// <summary>Rows of the vocabulary [vocabulary, hidden] in BF16: as in the file, or the head itself where the two are tied.</summary>
internal sealed unsafe class EmbeddingTable
{
    private readonly AlignedMemory? _memory;
    private readonly Bf16Matrix? _tied;
    private readonly ushort[] _row;

    public EmbeddingTable(AlignedMemory memory, int hiddenSize)
    {
        _memory = memory;
        _row = new ushort[hiddenSize];
    }

    /// <param name="tied">The head, which stays its owner's.</param>
    public EmbeddingTable(Bf16Matrix tied)
    {
        _tied = tied;
        _row = new ushort[tied.Columns];
    }

    public void Lookup(int token, Span<float> destination)
    {
        if (_tied is not null)
        {
            _tied.GetRow(token, _row);
            Bf16.Widen(_row, destination);
            return;
        }

        Bf16.Widen(new ReadOnlySpan<ushort>((ushort*)_memory!.Pointer + ((long)token * _row.Length), _row.Length), destination);
    }

}
