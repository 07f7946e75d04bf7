using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Matrices;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>An expert in BF16, multiplied with FP32 activations (hidden rows that were BF16; intermediate rows as they are).</summary>
internal sealed unsafe class Bf16Expert : CpuExpert
{
    private const int BlockRows = Bf16Matrix.BlockRows;

    /// <summary>Activation rows whose sums are on the stack at a time.</summary>
    private const int SliceRows = 16;

    private readonly Bf16Matrix _gate;
    private readonly Bf16Matrix _up;
    private readonly Bf16Matrix _down;

    private Bf16Expert(Bf16Matrix gate, Bf16Matrix up, Bf16Matrix down)
    {
        _gate = gate;
        _up = up;
        _down = down;
    }

    public static long Bytes(int hiddenSize, int intermediateSize) =>
        2 * Bf16Matrix.PackedBytes(intermediateSize, hiddenSize) + Bf16Matrix.PackedBytes(hiddenSize, intermediateSize);

    public static Bf16Expert Read(int hiddenSize, int intermediateSize, TensorCatalog catalog, ITensorSource source, ExpertKey key)
    {
        Bf16Expert expert = new(new(intermediateSize, hiddenSize), new(intermediateSize, hiddenSize), new(hiddenSize, intermediateSize));
        try
        {
            Fill(expert._gate, source, catalog.Expert(key.Layer, key.Expert, "gate_proj", "weight"));
            Fill(expert._up, source, catalog.Expert(key.Layer, key.Expert, "up_proj", "weight"));
            Fill(expert._down, source, catalog.Expert(key.Layer, key.Expert, "down_proj", "weight"));
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
        float* gate = stackalloc float[SliceRows * BlockRows];
        float* up = stackalloc float[SliceRows * BlockRows];
        for (int end = first + count; first < end; first += SliceRows)
        {
            int slice = Math.Min(SliceRows, end - first);
            float* x = work.WideHidden(first);
            Bf16Kernel.Multiply<TLanes>(_gate.Block(block), _gate.Columns, x, work.HiddenSize, gate, BlockRows, 1, slice);
            Bf16Kernel.Multiply<TLanes>(_up.Block(block), _up.Columns, x, work.HiddenSize, up, BlockRows, 1, slice);

            // Rows of padding have zero weights and give zeros, into the padding of the intermediate row.
            for (int i = 0; i < slice; i++)
            {
                TLanes value = LaneMath.SwiGlu(TLanes.Load(gate + i * BlockRows), TLanes.Load(up + i * BlockRows));
                TLanes.Store(value, work.Intermediate(first + i) + block * BlockRows);
            }
        }
    }

    public override void Output<TLanes>(CpuExpertWork work, int first, int count, int block)
    {
        float* sums = stackalloc float[SliceRows * BlockRows];
        ushort* rounded = stackalloc ushort[BlockRows];
        ReadOnlySpan<int> order = work.Groups.Order;
        int columns = Math.Min(BlockRows, _down.Rows - block * BlockRows);
        for (int end = first + count; first < end; first += SliceRows)
        {
            int slice = Math.Min(SliceRows, end - first);
            Bf16Kernel.Multiply<TLanes>(
                _down.Block(block), _down.Columns, work.Intermediate(first), work.IntermediateStride, sums, BlockRows, 1, slice);
            for (int i = 0; i < slice; i++)
            {
                TLanes.StoreBf16(TLanes.Load(sums + i * BlockRows), rounded);
                new ReadOnlySpan<ushort>(rounded, columns).CopyTo(new Span<ushort>(work.Output(order[first + i]) + block * BlockRows, columns));
            }
        }
    }

    public override void Dispose()
    {
        _gate.Dispose();
        _up.Dispose();
        _down.Dispose();
    }

    private static void Fill(Bf16Matrix matrix, ITensorSource source, string name)
    {
        using TensorPieces pieces = new(source, name, matrix.Columns * sizeof(ushort), 1);
        for (int first = 0; first < matrix.Rows; first += pieces.PieceRows)
            matrix.SetRows(first, pieces.Read<ushort>(first, Math.Min(pieces.PieceRows, matrix.Rows - first)));
    }
}
