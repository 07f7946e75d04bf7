using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Matrices;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>
/// An expert in INT4 with a BF16 scale per group of 32. In memory: for each block of 16 intermediate rows the gate's block and
/// then the up projection's; after them the blocks of the down projection.
/// </summary>
internal sealed unsafe class Int4Expert : CpuExpert
{
    private const int BlockRows = Int4Kernel.BlockRows;
    private const int GroupSize = QuantizedRows.GroupSize;
    private const int WordWeights = 8;

    /// <summary>Activation rows done together.</summary>
    private const int TileRows = 8;

    private readonly int _hiddenGroups;
    private readonly int _intermediateGroups;
    private readonly AlignedMemory _memory;

    private Int4Expert(int hiddenSize, int intermediateSize)
    {
        _hiddenGroups = hiddenSize / GroupSize;
        _intermediateGroups = intermediateSize / GroupSize;
        _memory = new AlignedMemory(Bytes(hiddenSize, intermediateSize));
    }

    private long HiddenBlockBytes => (long)_hiddenGroups * Int4Kernel.RecordBytes;

    private long IntermediateBlockBytes => (long)_intermediateGroups * Int4Kernel.RecordBytes;

    public static long Bytes(int hiddenSize, int intermediateSize) =>
        3L * (hiddenSize / BlockRows) * (intermediateSize / GroupSize) * Int4Kernel.RecordBytes;

    public static Int4Expert Read(int hiddenSize, int intermediateSize, TensorCatalog catalog, ITensorSource source, ExpertKey key)
    {
        Int4Expert expert = new(hiddenSize, intermediateSize);
        try
        {
            ReadProjection(catalog, source, key, "gate_proj", intermediateSize, expert._hiddenGroups, block => expert.Gate(block));
            ReadProjection(catalog, source, key, "up_proj", intermediateSize, expert._hiddenGroups, block => expert.Up(block));
            ReadProjection(catalog, source, key, "down_proj", hiddenSize, expert._intermediateGroups, block => expert.Down(block));
            return expert;
        }
        catch
        {
            expert.Dispose();
            throw;
        }
    }

    public override void Intermediate<TLanes>(CpuExpertWork work, int first, int count, int block)
    {
        float* gate = stackalloc float[TileRows * BlockRows];
        float* up = stackalloc float[TileRows * BlockRows];
        int** x = stackalloc int*[TileRows];
        ReadOnlySpan<int> order = work.Groups.Order;
        ReadOnlySpan<int> rows = work.PairRows;
        for (int end = first + count; first < end; first += TileRows)
        {
            int tile = Math.Min(TileRows, end - first);
            for (int i = 0; i < tile; i++)
                x[i] = work.QuantizedHidden.Row(rows[order[first + i]]);
            Dot<TLanes>(work.Activations, Gate(block), _hiddenGroups, x, tile, gate);
            Dot<TLanes>(work.Activations, Up(block), _hiddenGroups, x, tile, up);
            for (int i = 0; i < tile; i++)
            {
                TLanes value = LaneMath.SwiGlu(TLanes.Load(gate + i * BlockRows), TLanes.Load(up + i * BlockRows));
                TLanes.Store(value, work.Intermediate(first + i) + block * BlockRows);
            }
        }
    }

    public override void Output<TLanes>(CpuExpertWork work, int first, int count, int block)
    {
        float* sums = stackalloc float[TileRows * BlockRows];
        int** x = stackalloc int*[TileRows];
        ReadOnlySpan<int> order = work.Groups.Order;
        for (int end = first + count; first < end; first += TileRows)
        {
            int tile = Math.Min(TileRows, end - first);
            for (int i = 0; i < tile; i++)
                x[i] = work.QuantizedIntermediate.Row(first + i);
            Dot<TLanes>(work.Activations, Down(block), _intermediateGroups, x, tile, sums);
            for (int i = 0; i < tile; i++)
                TLanes.StoreBf16(TLanes.Load(sums + i * BlockRows), work.Output(order[first + i]) + block * BlockRows);
        }
    }

    public override void Dispose() => _memory.Dispose();

    /// <summary>Products of a block with 1..8 rows. <paramref name="x"/> has room for 8, of which the last may be repeated.</summary>
    private static void Dot<TLanes>(CpuActivations activations, byte* block, int groups, int** x, int count, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        if (activations == CpuActivations.Bits8)
            Dot<TLanes, Int4Int8Kernel>(block, groups, x, count, output);
        else
            Dot<TLanes, Int4Kernel>(block, groups, x, count, output);
    }

    private static void Dot<TLanes, TKernel>(byte* block, int groups, int** x, int count, float* output)
        where TLanes : struct, ILanes<TLanes>
        where TKernel : struct, IInt4Kernel
    {
        // A tile with a repeated row is faster than smaller tiles one after another.
        for (int i = count; i < (count + 3) / 4 * 4; i++)
            x[i] = x[count - 1];
        if (count == 1)
        {
            TKernel.Dot1<TLanes>(block, groups, x[0], output);
        }
        else if (count == 2)
        {
            TKernel.Dot2<TLanes>(block, groups, x, output);
        }
        else if (count > 4 && TLanes.HoldsWideTile)
        {
            TKernel.Dot8<TLanes>(block, groups, x, output);
        }
        else
        {
            TKernel.Dot4<TLanes>(block, groups, x, output);
            if (count > 4)
                Dot<TLanes, TKernel>(block, groups, x + 4, count - 4, output + 4 * BlockRows);
        }
    }

    private byte* Gate(int block) => _memory.Pointer + 2 * block * HiddenBlockBytes;

    private byte* Up(int block) => Gate(block) + HiddenBlockBytes;

    private byte* Down(int block) =>
        _memory.Pointer + 2L * (_intermediateGroups * GroupSize / BlockRows) * HiddenBlockBytes + block * IntermediateBlockBytes;

    private static void ReadProjection(
        TensorCatalog catalog, ITensorSource source, ExpertKey key, string projection, int rows, int groups, BlockAddress address)
    {
        int rowWords = groups * GroupSize / WordWeights;
        using TensorPieces words = new(source, catalog.Expert(key.Layer, key.Expert, projection, "weight_packed"), rowWords * sizeof(uint), BlockRows);
        using TensorPieces scales = new(source, catalog.Expert(key.Layer, key.Expert, projection, "weight_scale"), groups * sizeof(ushort), words.PieceRows);
        for (int first = 0; first < rows; first += words.PieceRows)
        {
            int count = Math.Min(words.PieceRows, rows - first);
            ReadOnlySpan<uint> packed = words.Read<uint>(first, count);
            ReadOnlySpan<ushort> scale = scales.Read<ushort>(first, count);
            for (int row = 0; row < count; row += BlockRows)
            {
                Int4Kernel.Pack(
                    packed.Slice(row * rowWords, BlockRows * rowWords),
                    scale.Slice(row * groups, BlockRows * groups),
                    groups,
                    address((first + row) / BlockRows));
            }
        }
    }

    private delegate byte* BlockAddress(int block);
}
