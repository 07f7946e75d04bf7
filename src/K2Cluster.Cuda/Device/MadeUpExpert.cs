using System.Runtime.InteropServices;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Cuda.Device;

/// <summary>An expert of no model, by which a device is checked: weights from a hash of their place, scaled so that results keep the size of inputs.</summary>
internal sealed class MadeUpExpert(ExpertShape shape) : IExpertReader
{
    private const float Int4Deviation = 4.6f; // of integers from -8 to 7, all alike
    private const float Bf16Deviation = 0.58f; // of numbers from -1 to 1, all alike

    public void Read(ExpertPart part, long offset, Span<byte> destination)
    {
        bool isScales = part is ExpertPart.GateScales or ExpertPart.UpScales or ExpertPart.DownScales;
        if (shape.IsInt4 && !isScales)
        {
            for (int i = 0; i < destination.Length; i++)
                destination[i] = (byte)Hash(part, offset + i);
            return;
        }

        Span<ushort> numbers = MemoryMarshal.Cast<byte, ushort>(destination);
        for (int i = 0; i < numbers.Length; i++)
            numbers[i] = isScales ? Scale(part, (offset / 2) + i) : Number(part, (offset / 2) + i);
    }

    /// <summary>Row <paramref name="row"/>'s input, BF16.</summary>
    public static ushort Input(int row, int column) => Bf16.FromSingle((Hash((ExpertPart)(16 + row), column) & 0xffff) / 32768f - 1);

    /// <summary>Output of one row in FP64; the middle values are rounded to BF16, as the kernels' are, so that the outputs' own rounding is all that is left.</summary>
    public double[] Exact(ReadOnlySpan<ushort> input)
    {
        double[] x = new double[shape.Hidden];
        for (int i = 0; i < x.Length; i++)
            x[i] = Bf16.ToSingle(input[i]);
        double[] gate = Multiply(ExpertPart.Gate, ExpertPart.GateScales, shape.Intermediate, x);
        double[] up = Multiply(ExpertPart.Up, ExpertPart.UpScales, shape.Intermediate, x);
        for (int i = 0; i < gate.Length; i++)
            gate[i] = Bf16.ToSingle(Bf16.FromSingle((float)(gate[i] / (1 + Math.Exp(-gate[i])) * up[i])));
        return Multiply(ExpertPart.Down, ExpertPart.DownScales, shape.Hidden, gate);
    }

    private double[] Multiply(ExpertPart weights, ExpertPart scales, int rows, double[] x)
    {
        int groups = x.Length / 32;
        byte[] packed = new byte[x.Length * (shape.IsInt4 ? 4 : 16) / 8];
        byte[] scale = new byte[shape.IsInt4 ? groups * 2 : 0];
        double[] y = new double[rows];
        for (int row = 0; row < rows; row++)
        {
            Read(weights, (long)row * packed.Length, packed);
            Read(scales, (long)row * scale.Length, scale);
            for (int k = 0; k < x.Length; k++)
            {
                double weight = shape.IsInt4
                    ? (((packed[k / 2] >> (4 * (k & 1))) & 15) - 8) * Bf16.ToSingle(BitConverter.ToUInt16(scale, k / 32 * 2))
                    : Bf16.ToSingle(BitConverter.ToUInt16(packed, k * 2));
                y[row] += weight * x[k];
            }
        }

        return y;
    }

    private ushort Scale(ExpertPart part, long index) => Bf16.FromSingle((1 + (Hash(part, index) % 4) / 4f) / (1.4f * Int4Deviation * MathF.Sqrt(Inputs(part))));

    private ushort Number(ExpertPart part, long index) => Bf16.FromSingle(((Hash(part, index) & 0xffff) / 32768f - 1) / (Bf16Deviation * MathF.Sqrt(Inputs(part))));

    private int Inputs(ExpertPart part) => part is ExpertPart.Down or ExpertPart.DownScales ? shape.Intermediate : shape.Hidden;

    private static uint Hash(ExpertPart part, long index)
    {
        uint h = (uint)index * 0x9e3779b1u + (uint)part * 0x85ebca77u;
        h = (h ^ (h >> 15)) * 0x2c1b3c6du;
        h = (h ^ (h >> 12)) * 0x297a2d39u;
        return h ^ (h >> 15);
    }
}
