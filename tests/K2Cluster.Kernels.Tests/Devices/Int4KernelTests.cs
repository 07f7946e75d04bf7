using System.Runtime.InteropServices;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Tests.Devices;

public sealed unsafe class Int4KernelTests
{
    [Fact]
    public void The_published_golden_words_unpack_to_their_values()
    {
        // compressed-tensors' layout: q = −8..7, 7..−8 is 76543210 FEDCBA98 89ABCDEF 01234567, the first value lowest.
        uint[] golden = [0x76543210, 0xFEDCBA98, 0x89ABCDEF, 0x01234567];
        uint[] packed = new uint[16 * 4];
        ushort[] scales = new ushort[16];
        for (int row = 0; row < 16; row++)
        {
            golden.CopyTo(packed, row * 4);
            scales[row] = Bf16.FromSingle(1);
        }

        for (int column = 0; column < 32; column++)
        {
            float[] x = new float[32];
            x[column] = 32767;
            float[] output = Dot<LanesPortable>(packed, scales, 1, x);
            int expected = column < 16 ? column - 8 : 23 - column;
            Assert.All(output, value => Assert.Equal(expected * 32767f, value));
        }
    }

    [Theory]
    [InlineData(32)]
    [InlineData(320)]
    [InlineData(7168)]
    public void A_product_before_bf16_is_exact_to_1e_4_and_equal_on_every_path(int columns)
    {
        int groups = columns / 32;
        Random random = new(columns);
        uint[] packed = new uint[16 * groups * 4];
        random.NextBytes(MemoryMarshal.AsBytes(packed.AsSpan()));
        ushort[] scales = new ushort[16 * groups];
        for (int i = 0; i < scales.Length; i++)
            scales[i] = Bf16.FromSingle(0.002f + 0.01f * random.NextSingle());

        // One value in a hundred is 20 times the others: what INT16 still bears.
        float[] x = Samples.Gaussian(columns, 31);
        for (int k = 0; k < columns; k += 100)
            x[k] *= 20;
        double[] exact = new double[16];
        for (int row = 0; row < 16; row++)
        {
            for (int k = 0; k < columns; k++)
            {
                int value = (int)(packed[row * groups * 4 + k / 8] >> (4 * (k % 8)) & 15) - 8;
                exact[row] += value * (double)x[k] * Bf16.ToSingle(scales[row * groups + k / 32]);
            }
        }

        float[] portable = Dot<LanesPortable>(packed, scales, groups, x);
        Assert.InRange(Samples.RelativeError(exact, portable), 0, 1e-4);
        foreach (CpuPath path in Samples.Paths)
        {
            float[] actual = path switch
            {
                CpuPath.Avx512 => Dot<Lanes512>(packed, scales, groups, x),
                CpuPath.Avx2 => Dot<Lanes256>(packed, scales, groups, x),
                _ => portable,
            };
            Samples.SameBits(portable, actual, path.ToString());
        }
    }

    [Fact]
    public void Groups_of_zeros_and_of_tiny_values_are_zero()
    {
        uint[] packed = new uint[16 * 2 * 4];
        ushort[] scales = new ushort[32];
        Array.Fill(scales, Bf16.FromSingle(1));
        float[] x = new float[64];
        x[40] = float.Epsilon;
        x[41] = -1e-35f;
        Assert.All(Dot<LanesPortable>(packed, scales, 2, x), value => Assert.Equal(0, value));
    }

    [Fact]
    public void The_largest_products_stay_exact()
    {
        // All weights −8, all activations at full scale: 8 × 32 × 32767 is still below 2^24.
        uint[] packed = new uint[16 * 4];
        ushort[] scales = new ushort[16];
        Array.Fill(scales, Bf16.FromSingle(1));
        float[] x = new float[32];
        Array.Fill(x, -32767f);
        Assert.All(Dot<LanesPortable>(packed, scales, 1, x), value => Assert.Equal(8f * 32 * 32767, value));
        if (CpuPaths.IsSupported(CpuPath.Avx2))
            Assert.All(Dot<Lanes256>(packed, scales, 1, x), value => Assert.Equal(8f * 32 * 32767, value));
        if (CpuPaths.IsSupported(CpuPath.Avx512))
            Assert.All(Dot<Lanes512>(packed, scales, 1, x), value => Assert.Equal(8f * 32 * 32767, value));
    }

    [Fact]
    public void Quantising_rounds_halves_to_even()
    {
        // The scale is 1, so that values are their own quotients.
        float[] x = new float[32];
        x[0] = 32767;
        x[1] = 0.5f;
        x[2] = 1.5f;
        x[3] = -2.5f;
        using QuantizedRows rows = new(1, 32, CpuActivations.Bits16);
        fixed (float* source = x)
            rows.Set<LanesPortable>(0, source);
        short[] values = [.. MemoryMarshal.Cast<int, short>(new ReadOnlySpan<int>(rows.Row(0), 16)).ToArray().Where((_, i) => i % 2 == 0).Take(4)];
        Assert.Equal([32767, 0, 2, -2], values);
    }

    private static float[] Dot<TLanes>(uint[] packed, ushort[] scales, int groups, float[] x)
        where TLanes : struct, ILanes<TLanes> =>
        Int4Block.Dot<TLanes, Int4Kernel>(packed, scales, groups, x, CpuActivations.Bits16);
}
