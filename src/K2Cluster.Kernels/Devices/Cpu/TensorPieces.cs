using System.Buffers;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>Reads rows of a checked tensor, a bounded piece at a time.</summary>
internal sealed class TensorPieces : IDisposable
{
    private const int PieceBytes = 256 * 1024;

    private readonly ITensorSource _source;
    private readonly TensorInfo _tensor;
    private readonly int _rowBytes;
    private readonly byte[] _buffer;

    /// <param name="source">Where the tensor lies.</param>
    /// <param name="name">A tensor that the catalog has checked.</param>
    /// <param name="rowBytes">Bytes of one row.</param>
    /// <param name="unit">Pieces are multiples of this many rows.</param>
    public TensorPieces(ITensorSource source, string name, int rowBytes, int unit)
    {
        if (!source.TryGet(name, out TensorInfo? tensor))
            throw new CheckpointException($"Tensor {name} is missing.");
        _source = source;
        _tensor = tensor;
        _rowBytes = rowBytes;
        PieceRows = Math.Max(1, PieceBytes / (rowBytes * unit)) * unit;
        _buffer = ArrayPool<byte>.Shared.Rent(PieceRows * rowBytes);
    }

    /// <summary>Rows that one <see cref="Read"/> gives at most.</summary>
    public int PieceRows { get; }

    /// <summary>Rows firstRow..; valid until the next read.</summary>
    public ReadOnlySpan<T> Read<T>(int firstRow, int rows)
        where T : unmanaged
    {
        Span<byte> bytes = _buffer.AsSpan(0, rows * _rowBytes);
        _source.Read(_tensor, (long)firstRow * _rowBytes, bytes);
        return MemoryMarshal.Cast<byte, T>(bytes);
    }

    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);
}
