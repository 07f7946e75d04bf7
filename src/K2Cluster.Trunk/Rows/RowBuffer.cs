using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Trunk.Rows;

/// <summary>FP32 rows of one width in native memory.</summary>
internal sealed unsafe class RowBuffer : IDisposable
{
    private readonly AlignedMemory _memory;
    private readonly int _rows;

    /// <param name="rows">How many.</param>
    /// <param name="width">Floats in each.</param>
    /// <param name="zeroed">Whether they are zero at first; without, the system provides memory as it is written.</param>
    public RowBuffer(int rows, int width, bool zeroed = true)
    {
        _memory = new AlignedMemory((long)rows * width * sizeof(float), zeroed);
        _rows = rows;
        Width = width;
    }

    /// <summary>Floats in a row, and from one row to the next.</summary>
    public int Width { get; }

    public float* Row(int row) => (float*)_memory.Pointer + ((nint)row * Width);

    /// <summary>The rows [first, first + count), one after the other.</summary>
    public Span<float> Span(int first, int count)
    {
        ObjectDisposedException.ThrowIf(_memory.IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)first, (uint)_rows);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)(_rows - first));
        return new Span<float>(Row(first), checked(count * Width));
    }

    public void Dispose() => _memory.Dispose();
}
