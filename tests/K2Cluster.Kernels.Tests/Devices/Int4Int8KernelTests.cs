using System.Runtime.InteropServices;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Tests.Devices;

public sealed unsafe class Int4Int8KernelTests
{
    [Theory]
    [InlineData(32, 1)]
    [InlineData(320, 1)]
    [InlineData(320, 1e-20f)]
    [InlineData(320, 1e30f)]
    [InlineData(7168, 1)]
    public void Every_path_gives_the_bits_of_exact_integers_scaled_group_by_group(int columns, float size)
    {
        (uint[] packed, ushort[] scales) = RandomWeights(columns);
        float[] x = Samples.Gaussian(columns, 33, size);
        float[] expected = Reference(packed, scales, x);
        OnEveryPath(packed, scales, x, (actual, path) => Samples.SameBits(expected, actual, path));
    }

    [Theory]
    [InlineData(320)]
    [InlineData(7168)]
    public void A_product_before_bf16_is_exact_to_1e_2(int columns)
    {
        (uint[] packed, ushort[] scales) = RandomWeights(columns);
        float[] x = Samples.Gaussian(columns, 31);
        double[] exact = new double[16];
        for (int row = 0; row < 16; row++)
        {
            for (int k = 0; k < columns; k++)
                exact[row] += Weight(packed, columns, row, k) * (double)x[k] * Bf16.ToSingle(scales[row * (columns / 32) + k / 32]);
        }

        // Measured: 5.8e-3 and 4.4e-3 (INT16: 2e-5).
        double error = Samples.RelativeError(exact, Dot<LanesPortable>(packed, scales, x));
        Assert.InRange(error, 1e-3, 1e-2);
    }

    [Theory]
    [InlineData(0, 127)]
    [InlineData(0, -127)]
    [InlineData(15, 127)]
    [InlineData(15, -127)]
    public void The_largest_products_stay_exact(int nibble, int value)
    {
        uint[] packed = new uint[16 * 4];
        Array.Fill(packed, (uint)nibble * 0x1111_1111);
        float[] x = new float[32];
        Array.Fill(x, value);
        OnEveryPath(packed, Ones(16), x, (actual, _) => Assert.All(actual, product => Assert.Equal(32f * (nibble - 8) * value, product)));
    }

    /// <summary>Halves of a word that go as far as they can before the other sign brings them back.</summary>
    [Theory]
    [InlineData(0x0000_FFFFu)]
    [InlineData(0x0F0F_0F0Fu)]
    [InlineData(0xF0F0_F0F0u)]
    [InlineData(0x00FF_00FFu)]
    public void Sums_that_swing_stay_exact(uint word)
    {
        uint[] packed = new uint[16 * 4];
        for (int i = 0; i < packed.Length; i++)
            packed[i] = i % 4 < 2 ? word : ~word;
        for (int pattern = 0; pattern < 32; pattern++)
        {
            float[] x = [.. Enumerable.Range(0, 32).Select(k => ((k & pattern) == 0) ? 127f : -127f)];
            float[] expected = Reference(packed, Ones(16), x);
            OnEveryPath(packed, Ones(16), x, (actual, path) => Samples.SameBits(expected, actual, $"{path}, pattern {pattern}"));
        }
    }

    [Fact]
    public void Groups_of_zeros_and_of_tiny_values_are_zero()
    {
        float[] x = new float[64];
        x[40] = float.Epsilon;
        x[41] = -1e-35f;
        OnEveryPath(new uint[16 * 2 * 4], Ones(32), x, (actual, _) => Assert.All(actual, value => Assert.Equal(0, value)));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void A_value_that_is_not_finite_makes_every_product_nan(float value)
    {
        float[] x = Samples.Gaussian(64, 34);
        x[37] = value;
        OnEveryPath(new uint[16 * 2 * 4], Ones(32), x, (actual, _) => Assert.All(actual, product => Assert.True(float.IsNaN(product))));
    }

    [Fact]
    public void Quantising_rounds_halves_to_even_at_the_places_of_the_nibbles()
    {
        // The scale is 1, so that values are their own quotients.
        float[] x = new float[32];
        x[0] = -127;
        x[2] = 0.5f;
        x[4] = 1.5f;
        x[6] = -2.5f;
        x[9] = 3;
        using QuantizedRows rows = new(1, 32, CpuActivations.Bits8);
        fixed (float* source = x)
            rows.Set<LanesPortable>(0, source);
        sbyte[] values = MemoryMarshal.Cast<int, sbyte>(new ReadOnlySpan<int>(rows.Row(0), 8)).ToArray();
        Assert.Equal([-127, 0, 2, -2, 0, 0, 0, 0, 0, 0, 0, 0, 3], values[..13]);
        Assert.All(values[13..], value => Assert.Equal(0, value));
        short[] corrections = MemoryMarshal.Cast<int, short>(new ReadOnlySpan<int>(rows.Row(0) + 9, 1)).ToArray();
        Assert.Equal([-8 * (-127 + 3), -8 * (2 - 2)], corrections);
    }

    private static (uint[] Packed, ushort[] Scales) RandomWeights(int columns)
    {
        Random random = new(columns);
        uint[] packed = new uint[16 * columns / 8];
        random.NextBytes(MemoryMarshal.AsBytes(packed.AsSpan()));
        return (packed, [.. Enumerable.Range(0, 16 * columns / 32).Select(_ => Bf16.FromSingle(0.002f + 0.01f * random.NextSingle()))]);
    }

    private static ushort[] Ones(int count)
    {
        ushort[] scales = new ushort[count];
        Array.Fill(scales, Bf16.FromSingle(1));
        return scales;
    }

    private static int Weight(uint[] packed, int columns, int row, int k) => (int)(packed[(row * columns + k) / 8] >> (4 * (k % 8)) & 15) - 8;

    /// <summary>The definition, one value at a time.</summary>
    private static float[] Reference(uint[] packed, ushort[] scales, float[] x)
    {
        float[] sums = new float[16];
        for (int group = 0; group < x.Length / 32; group++)
        {
            float[] values = x[(32 * group)..(32 * group + 32)];
            float scale = values.Max(MathF.Abs) / 127;
            int[] rounded = [.. values.Select(value => (int)MathF.Round(value / scale, MidpointRounding.ToEven))];
            for (int row = 0; row < 16; row++)
            {
                int product = Enumerable.Range(0, 32).Sum(k => Weight(packed, x.Length, row, 32 * group + k) * rounded[k]);
                sums[row] = MathF.FusedMultiplyAdd(product, Bf16.ToSingle(scales[row * (x.Length / 32) + group]) * scale, sums[row]);
            }
        }

        return sums;
    }

    private static void OnEveryPath(uint[] packed, ushort[] scales, float[] x, Action<float[], string> check)
    {
        foreach (CpuPath path in Samples.Paths)
        {
            float[] actual = path switch
            {
                CpuPath.Avx512 => Dot<Lanes512>(packed, scales, x),
                CpuPath.Avx2 => Dot<Lanes256>(packed, scales, x),
                _ => Dot<LanesPortable>(packed, scales, x),
            };
            check(actual, path.ToString());
        }
    }

    private static float[] Dot<TLanes>(uint[] packed, ushort[] scales, float[] x)
        where TLanes : struct, ILanes<TLanes> =>
        Int4Block.Dot<TLanes, Int4Int8Kernel>(packed, scales, x.Length / 32, x, CpuActivations.Bits8);
}
