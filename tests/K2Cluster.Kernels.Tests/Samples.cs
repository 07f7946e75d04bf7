using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Tests;

/// <summary>Reproducible inputs, and comparisons by bits.</summary>
internal static class Samples
{
    /// <summary>Every path of this machine; Portable always.</summary>
    public static IReadOnlyList<CpuPath> Paths { get; } = [.. Enum.GetValues<CpuPath>().Where(CpuPaths.IsSupported)];

    public static float[] Gaussian(int count, int seed, float scale = 1)
    {
        Random random = new(seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            double radius = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()));
            values[i] = (float)(radius * Math.Cos(2 * Math.PI * random.NextDouble())) * scale;
        }

        return values;
    }

    public static ushort[] GaussianBf16(int count, int seed, float scale = 1)
    {
        ushort[] bits = new ushort[count];
        Bf16.Round(Gaussian(count, seed, scale), bits);
        return bits;
    }

    public static float[] Widen(ReadOnlySpan<ushort> bits)
    {
        float[] values = new float[bits.Length];
        Bf16.Widen(bits, values);
        return values;
    }

    public static void SameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        int differs = FirstDifference(expected, actual);
        Assert.True(differs < 0, differs < 0 ? "" : $"{what}: element {differs} is {actual[differs]:R}, not {expected[differs]:R}");
    }

    public static void SameBits(ReadOnlySpan<ushort> expected, ReadOnlySpan<ushort> actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.True(expected[i] == actual[i], $"{what}: element {i} is {actual[i]:X4}, not {expected[i]:X4}");
    }

    /// <summary>−1 when all bits are equal. Any NaN equals any other: only its payload may differ between paths.</summary>
    public static int FirstDifference(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            bool same = BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(actual[i]);
            if (!same && !(float.IsNaN(expected[i]) && float.IsNaN(actual[i])))
                return i;
        }

        return -1;
    }

    /// <summary>‖actual − expected‖ / ‖expected‖.</summary>
    public static double RelativeError(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double error = 0, norm = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            norm += expected[i] * expected[i];
        }

        return norm == 0 ? Math.Sqrt(error) : Math.Sqrt(error / norm);
    }
}
