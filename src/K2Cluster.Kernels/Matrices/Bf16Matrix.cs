using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Matrices;

/// <summary>
/// A weight matrix [Rows (outputs), Columns (inputs)] in BF16, packed for products: blocks of 16 rows; in a block, one
/// 32-bit word for each row and pair of columns (the even column in its low half), so that one 64-byte load gives 2 columns
/// of 16 rows. Rows and columns are zero padded to whole blocks and pairs. The memory is native and freed by Dispose.
/// </summary>
public sealed unsafe class Bf16Matrix : IDisposable
{
    internal const int BlockRows = 16;

    /// <summary>Blocks that are done together: enough independent sums to hide the latency of a fused multiply-add.</summary>
    private const int GroupBlocks = 4;

    /// <summary>About 5 µs of multiply-adds.</summary>
    private const long SmallProducts = 64 * 1024;

    private readonly AlignedMemory _memory;

    /// <summary>A matrix of zeros, to be filled by <see cref="SetRows"/>.</summary>
    public Bf16Matrix(int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(columns);
        Rows = rows;
        Columns = columns;
        _memory = new AlignedMemory(PackedBytes(rows, columns));
    }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Bytes of native memory, padding included.</summary>
    public long Bytes => _memory.Bytes;

    internal int Blocks => BlocksOf(Rows);

    private int Pairs => PairsOf(Columns);

    /// <summary>Packs a row-major matrix of BF16 bits.</summary>
    public static Bf16Matrix Pack(ReadOnlySpan<ushort> rowMajor, int rows, int columns)
    {
        Bf16Matrix matrix = new(rows, columns);
        if (rowMajor.Length != (long)rows * columns)
        {
            matrix.Dispose();
            throw new ArgumentException($"A matrix of {rows} × {columns} has {(long)rows * columns} elements, not {rowMajor.Length}.", nameof(rowMajor));
        }

        matrix.SetRows(0, rowMajor);
        return matrix;
    }

    /// <summary>Bytes that a packed matrix takes.</summary>
    public static long PackedBytes(int rows, int columns) => (long)BlocksOf(rows) * PairsOf(columns) * BlockRows * sizeof(uint);

    /// <summary>
    /// Sets whole rows from row-major BF16 bits, so that a load needs only a piece of the source at a time. Not while the
    /// matrix is multiplied.
    /// </summary>
    public void SetRows(int firstRow, ReadOnlySpan<ushort> rowMajorRows)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstRow);
        int count = rowMajorRows.Length / Columns;
        if (count * (long)Columns != rowMajorRows.Length)
            throw new ArgumentException($"{rowMajorRows.Length} elements are not whole rows of {Columns}.", nameof(rowMajorRows));
        if (firstRow + (long)count > Rows)
            throw new ArgumentOutOfRangeException(nameof(firstRow), $"Rows {firstRow}..{firstRow + (long)count - 1} of a matrix of {Rows} rows.");

        ObjectDisposedException.ThrowIf(_memory.IsClosed, this);
        int pairs = Pairs;
        for (int i = 0; i < count; i++)
        {
            int row = firstRow + i;
            ReadOnlySpan<ushort> source = rowMajorRows.Slice(i * Columns, Columns);
            uint* target = Block(row / BlockRows) + row % BlockRows;
            for (int pair = 0; pair < pairs; pair++)
            {
                uint odd = 2 * pair + 1 < source.Length ? source[2 * pair + 1] : 0u;
                target[(long)pair * BlockRows] = source[2 * pair] | odd << 16;
            }
        }

        GC.KeepAlive(this);
    }

    /// <summary>A row's BF16 bits, as they were set: for an embedding that is also the head.</summary>
    public void GetRow(int row, Span<ushort> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows);
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, Columns);
        ObjectDisposedException.ThrowIf(_memory.IsClosed, this);
        uint* source = Block(row / BlockRows) + row % BlockRows;
        for (int k = 0; k < destination.Length; k++)
            destination[k] = (ushort)(source[(long)(k / 2) * BlockRows] >> (16 * (k % 2)));
        GC.KeepAlive(this);
    }

    /// <summary>
    /// output[i × outputStride + r] = Σ over k of W[r, k] × input[i × inputStride + k] for the <paramref name="count"/> rows
    /// of the input: FP32, one fused multiply-add per k, in the order of k from zero. The bits of a row depend on that row only.
    /// </summary>
    /// <exception cref="ArgumentException">A stride or a span is too short.</exception>
    public void Multiply(CpuCompute compute, ReadOnlySpan<float> input, int inputStride, Span<float> output, int outputStride, int count)
    {
        ArgumentNullException.ThrowIfNull(compute);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        if (count == 0)
            return;
        ArgumentOutOfRangeException.ThrowIfLessThan(inputStride, Columns);
        ArgumentOutOfRangeException.ThrowIfLessThan(outputStride, Rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(input.Length, (count - 1L) * inputStride + Columns, nameof(input));
        ArgumentOutOfRangeException.ThrowIfLessThan(output.Length, (count - 1L) * outputStride + Rows, nameof(output));
        ObjectDisposedException.ThrowIf(_memory.IsClosed, this);

        fixed (float* inputs = input)
        fixed (float* outputs = output)
        {
            int groups = (Blocks + GroupBlocks - 1) / GroupBlocks;
            int slices = RowSlices(compute.Threads, groups, count);
            MultiplyWork work = new(this, inputs, inputStride, outputs, outputStride, count, groups, slices);
            compute.Run(work, groups * slices, small: (long)Rows * Columns * count < SmallProducts);
        }

        GC.KeepAlive(this);
    }

    public void Dispose() => _memory.Dispose();

    /// <summary>The first word of a block of 16 rows.</summary>
    internal uint* Block(int block) => (uint*)_memory.Pointer + (long)block * Pairs * BlockRows;

    private static int BlocksOf(int rows) => (int)(((long)rows + BlockRows - 1) / BlockRows);

    private static int PairsOf(int columns) => (int)(((long)columns + 1) / 2);

    /// <summary>Input rows are cut only when there are too few groups of blocks to keep all threads busy.</summary>
    private static int RowSlices(int threads, int groups, int count) =>
        Math.Clamp((2 * threads + groups - 1) / groups, 1, Math.Max(1, count / 16));

    private readonly struct MultiplyWork(
        Bf16Matrix matrix, float* input, int inputStride, float* output, int outputStride, int count, int groups, int slices) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            int slice = part / groups;
            int first = (int)((long)count * slice / slices);
            int end = (int)((long)count * (slice + 1) / slices);
            Group<TLanes>(part % groups, first, end - first);
        }

        private void Group<TLanes>(int group, int firstRow, int rowCount)
            where TLanes : struct, ILanes<TLanes>
        {
            int firstBlock = group * GroupBlocks;
            int blocks = Math.Min(GroupBlocks, matrix.Blocks - firstBlock);
            int lastBlockRows = Math.Min(BlockRows, matrix.Rows - (firstBlock + blocks - 1) * BlockRows);
            int whole = lastBlockRows == BlockRows ? blocks : blocks - 1;
            float* inputs = input + (long)firstRow * inputStride;
            float* outputs = output + (long)firstRow * outputStride + firstBlock * BlockRows;
            if (whole > 0)
                Bf16Kernel.Multiply<TLanes>(matrix.Block(firstBlock), matrix.Columns, inputs, inputStride, outputs, outputStride, whole, rowCount);
            if (whole < blocks)
                PartialBlock<TLanes>(firstBlock + whole, lastBlockRows, inputs, outputs + whole * BlockRows, rowCount);
        }

        private void PartialBlock<TLanes>(int block, int rows, float* inputs, float* outputs, int rowCount)
            where TLanes : struct, ILanes<TLanes>
        {
            const int Slice = 16;
            float* whole = stackalloc float[Slice * BlockRows];
            for (int first = 0; first < rowCount; first += Slice)
            {
                int n = Math.Min(Slice, rowCount - first);
                Bf16Kernel.Multiply<TLanes>(matrix.Block(block), matrix.Columns, inputs + (long)first * inputStride, inputStride, whole, BlockRows, 1, n);
                for (int i = 0; i < n; i++)
                    new ReadOnlySpan<float>(whole + i * BlockRows, rows).CopyTo(new Span<float>(outputs + (long)(first + i) * outputStride, rows));
            }
        }
    }
}
