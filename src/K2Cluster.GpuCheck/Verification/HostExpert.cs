using System.Runtime.InteropServices;
using K2Cluster.Cuda.Device;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.GpuCheck.Verification;

/// <summary>An expert of no model, as a checkpoint would have it, with its products in FP64 and its slot by kernels/README.md.</summary>
internal sealed class HostExpert
{
    private const int Group = 32;
    private const double Int4Deviation = 4.6; // of integers from -8 to 7, all alike
    private const double Bf16Deviation = 0.58; // of numbers from -1 to 1, all alike
    private static readonly int[] NibbleOrder = [0, 2, 4, 6, 1, 3, 5, 7];

    private readonly ExpertSizes _sizes;
    private readonly byte[][] _parts = new byte[6][];

    public HostExpert(ExpertSizes sizes, WeightKind kind, int seed)
    {
        _sizes = sizes;
        Random random = new(seed);
        (int gate, int up, int down) = Exponents(kind);
        Fill(ExpertPart.Gate, sizes.Intermediate, sizes.Hidden, gate, kind, random);
        Fill(ExpertPart.Up, sizes.Intermediate, sizes.Hidden, up, kind, random);
        Fill(ExpertPart.Down, sizes.Hidden, sizes.Intermediate, down, kind, random);
    }

    /// <summary>Bytes as a checkpoint has them; of BF16 experts, scales have none.</summary>
    public byte[] this[ExpertPart part] => _parts[(int)part];

    /// <summary>A power of two that inputs have beside such weights.</summary>
    public static int InputExponent(WeightKind kind) => kind switch
    {
        WeightKind.Largest => -100,
        WeightKind.Smallest => 100,
        _ => 0,
    };

    /// <summary>An element of a product in FP64.</summary>
    /// <param name="weights">Gate, Up or Down.</param>
    /// <param name="row">Of the matrix.</param>
    /// <param name="x">Inputs.</param>
    /// <param name="magnitude">The sum of the absolute values of what is added: rounding errors are a share of it.</param>
    public double Dot(ExpertPart weights, int row, ReadOnlySpan<double> x, out double magnitude)
    {
        double sum = 0;
        double absolute = 0;
        if (_sizes.IsInt4)
        {
            ReadOnlySpan<byte> packed = this[weights].AsSpan(row * (x.Length / 2), x.Length / 2);
            ReadOnlySpan<ushort> scales = MemoryMarshal.Cast<byte, ushort>(this[weights + 1]).Slice(row * (x.Length / Group), x.Length / Group);
            for (int group = 0; group < scales.Length; group++)
            {
                double inGroup = 0;
                double absoluteInGroup = 0;
                for (int i = group * Group; i < (group + 1) * Group; i += 2)
                {
                    double low = ((packed[i / 2] & 15) - 8) * x[i];
                    double high = ((packed[i / 2] >> 4) - 8) * x[i + 1];
                    inGroup += low + high;
                    absoluteInGroup += Math.Abs(low) + Math.Abs(high);
                }

                double scale = Bf16.ToSingle(scales[group]);
                sum += scale * inGroup;
                absolute += scale * absoluteInGroup;
            }
        }
        else
        {
            ReadOnlySpan<ushort> numbers = MemoryMarshal.Cast<byte, ushort>(this[weights]).Slice(row * x.Length, x.Length);
            for (int i = 0; i < numbers.Length; i++)
            {
                double product = Bf16.ToSingle(numbers[i]) * x[i];
                sum += product;
                absolute += Math.Abs(product);
            }
        }

        magnitude = absolute;
        return sum;
    }

    /// <summary>The bytes that a slot must have, its last padding left out.</summary>
    public byte[] Slot()
    {
        byte[] slot = new byte[_sizes.GateUpBytes + _sizes.DownBytes];
        Lay(slot.AsSpan(0, (int)_sizes.GateUpBytes), _sizes.Hidden, (tile, row) => row < 8 ? (ExpertPart.Gate, (8 * tile) + row) : (ExpertPart.Up, (8 * tile) + row - 8));
        Lay(slot.AsSpan((int)_sizes.GateUpBytes), _sizes.Intermediate, (tile, row) => (ExpertPart.Down, (16 * tile) + row));
        return slot;
    }

    private void Lay(Span<byte> stream, int inputs, Func<int, int, (ExpertPart Part, int Row)> rowOf)
    {
        int blocks = ExpertSizes.Blocks(inputs);
        for (int at = 0, index = 0; at < stream.Length; at += _sizes.BlockBytes, index++)
        {
            Span<byte> block = stream.Slice(at, _sizes.BlockBytes);
            for (int row = 0; row < 16; row++)
            {
                (ExpertPart part, int matrixRow) = rowOf(index / blocks, row);
                if (_sizes.IsInt4)
                    LayInt4Row(block, row, part, matrixRow, index % blocks, inputs);
                else
                    LayBf16Row(block, row, part, matrixRow, index % blocks, inputs);
            }
        }
    }

    private void LayInt4Row(Span<byte> block, int row, ExpertPart part, int matrixRow, int kBlock, int inputs)
    {
        ReadOnlySpan<uint> words = MemoryMarshal.Cast<byte, uint>(this[part]).Slice(matrixRow * (inputs / 8), inputs / 8);
        ReadOnlySpan<ushort> scales = MemoryMarshal.Cast<byte, ushort>(this[part + 1]).Slice(matrixRow * (inputs / Group), inputs / Group);
        Span<uint> to = MemoryMarshal.Cast<byte, uint>(block[..1024]);
        Span<ushort> toScales = MemoryMarshal.Cast<byte, ushort>(block[1024..]);
        (int r, int half) = (row & 7, row >> 3);
        for (int group = 0; group < 4; group++)
        {
            int global = (kBlock * 4) + group;
            for (int t = 0; t < 4; t++)
            {
                uint word = global < scales.Length ? words[(global * 4) + t] : 0x8888_8888;
                uint ordered = 0;
                for (int place = 0; place < 8; place++)
                    ordered |= ((word >> (4 * NibbleOrder[place])) & 15) << (4 * place);
                to[((group >> 1) * 128) + (((r * 4) + t) * 4) + ((group & 1) * 2) + half] = ordered;
            }

            toScales[(r * 8) + (group * 2) + half] = global < scales.Length ? scales[global] : (ushort)0;
        }
    }

    private void LayBf16Row(Span<byte> block, int row, ExpertPart part, int matrixRow, int kBlock, int inputs)
    {
        ReadOnlySpan<ushort> numbers = MemoryMarshal.Cast<byte, ushort>(this[part]).Slice(matrixRow * inputs, inputs);
        Span<ushort> to = MemoryMarshal.Cast<byte, ushort>(block);
        (int r, int half) = (row & 7, row >> 3);
        for (int i = 0; i < 128; i++)
        {
            int k = (kBlock * 128) + i;
            (int group, int t, int offset) = (i / 32, i % 32 / 8, i % 8);
            to[(group * 512) + (half * 256) + (((r * 4) + t) * 8) + offset] = k < inputs ? numbers[k] : (ushort)0;
        }
    }

    /// <summary>Powers of two of the scales of gate, up and down. Those beyond 120 stand as they are, without regard to the number of inputs.</summary>
    private static (int Gate, int Up, int Down) Exponents(WeightKind kind) => kind switch
    {
        WeightKind.Largest => (80, 127, 105),
        WeightKind.Smallest => (-100, -126, -100),
        _ => (0, 0, 0),
    };

    private void Fill(ExpertPart part, int rows, int inputs, int exponent, WeightKind kind, Random random)
    {
        int count = rows * inputs;
        bool isExtreme = Math.Abs(exponent) > 120;
        double unit = Math.ScaleB(isExtreme ? 1 : 1 / ((_sizes.IsInt4 ? Int4Deviation : Bf16Deviation) * Math.Sqrt(inputs)), exponent);
        if (_sizes.IsInt4)
        {
            byte[] packed = new byte[count / 2];
            if (kind != WeightKind.AllLeast)
                random.NextBytes(packed);
            _parts[(int)part] = packed;
            _parts[(int)part + 1] = Numbers(count / Group, () => unit * (1 + (0.99 * random.NextDouble())));
        }
        else
        {
            int next = 0;
            double least = 0;
            _parts[(int)part] = Numbers(count, () => kind == WeightKind.AllLeast ? LeastOfRow() : isExtreme ? unit * Sign() * (1 + (0.99 * random.NextDouble())) : unit * ((2 * random.NextDouble()) - 1));
            _parts[(int)part + 1] = [];

            // One number a row: were it one for all, a row of equal outputs would have the rounding of one.
            double LeastOfRow() => next++ % inputs == 0 ? least = -unit * (1 + random.NextDouble()) : least;
        }

        int Sign() => random.Next(2) == 0 ? 1 : -1;
    }

    private static byte[] Numbers(int count, Func<double> next)
    {
        byte[] bytes = new byte[count * sizeof(ushort)];
        Span<ushort> numbers = MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan());
        foreach (ref ushort number in numbers)
            number = Bf16.FromSingle((float)next());
        return bytes;
    }
}
