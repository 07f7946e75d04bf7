using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Tests.Numerics;

public sealed class VectorMathTests
{
    public static TheoryData<int> Lengths() => [1, 2, 15, 16, 17, 31, 32, 33, 576, 7168];

    [Theory]
    [MemberData(nameof(Lengths))]
    public void Every_path_gives_the_same_bits(int n)
    {
        float[] a = Samples.Gaussian(n, 61, 3), b = Samples.Gaussian(n, 62);
        float[]? expected = null;
        foreach (CpuPath path in Samples.Paths)
        {
            List<float> results = [];
            float[] output = new float[n];
            VectorMath.RmsNorm(path, a, b, 1e-5f, output);
            results.AddRange(output);
            VectorMath.SwiGlu(path, a, b, output);
            results.AddRange(output);
            VectorMath.Exp(path, a, output);
            results.AddRange(output);
            VectorMath.Sigmoid(path, a, output);
            results.AddRange(output);
            results.Add(VectorMath.ExpSum(path, a, VectorMath.Max(path, a), output));
            results.AddRange(output);
            results.Add(VectorMath.Max(path, a));
            results.Add(VectorMath.Sum(path, a));
            results.Add(VectorMath.Dot(path, a, b));
            VectorMath.Axpy(path, 0.3f, a, output);
            results.AddRange(output);
            VectorMath.Scale(path, output, 1.7f);
            results.AddRange(output);
            VectorMath.Add(path, a, output);
            results.AddRange(output);
            expected ??= [.. results];
            Samples.SameBits(expected, results.ToArray(), $"{path}, {n}");
        }
    }

    [Theory]
    [MemberData(nameof(Lengths))]
    public void Blocks_have_the_same_bits_on_every_path_and_those_of_fp64(int n)
    {
        float[] a = Samples.Gaussian(n, 65, 3);
        a[n / 2] = float.NegativeInfinity;
        float max = a.Max();
        float[]? expected = null;
        foreach (CpuPath path in Samples.Paths)
        {
            int blocks = (n + 31) / 32;
            float[] maxima = new float[blocks], sums = new float[blocks], output = new float[n];
            Assert.True(VectorMath.TryBlockMaxima(path, a, 32, maxima));
            Assert.Equal(a.Chunk(32).Select(block => block.Max()), maxima);
            if (n > 1)
                VectorMath.ExpBlockSums(path, a, max, 0.7f, output, 32, sums);
            expected ??= [.. output, .. sums];
            Samples.SameBits(expected, [.. output, .. sums], $"{path}, {n}");
            for (int i = 0; i < n && n > 1; i++)
                Assert.Equal(Math.Exp((a[i] - (double)max) / 0.7f), output[i], 2e-6);
            Assert.Equal(output.Chunk(32).Select(block => block.Sum()), sums, (left, right) => MathF.Abs(left - right) <= 1e-5f * left);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void One_value_that_is_no_number_is_found_wherever_it_stands(float broken)
    {
        foreach (CpuPath path in Samples.Paths)
        {
            float[] maxima = new float[3];
            for (int at = 0; at < 75; at++)
            {
                float[] values = [.. Enumerable.Range(0, 75).Select(i => i % 5 == 0 ? float.NegativeInfinity : -i * 1e36f)];
                Assert.True(VectorMath.TryBlockMaxima(path, values, 32, maxima));
                values[at] = broken;
                Assert.False(VectorMath.TryBlockMaxima(path, values, 32, maxima));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lengths))]
    public void Results_are_those_of_fp64(int n)
    {
        CpuPath path = CpuPaths.Best;
        float[] a = Samples.Gaussian(n, 63, 3), b = Samples.Gaussian(n, 64), output = new float[n];
        double[] x = [.. a.Select(v => (double)v)];

        VectorMath.RmsNorm(path, a, b, 1e-5f, output);
        double scale = 1 / Math.Sqrt(x.Average(v => v * v) + 1e-5f);
        Assert.InRange(Samples.RelativeError([.. x.Zip(b, (v, w) => v * scale * w)], output), 0, 5e-7);

        VectorMath.SwiGlu(path, a, b, output);
        Assert.InRange(Samples.RelativeError([.. x.Zip(b, (v, w) => v / (1 + Math.Exp(-v)) * w)], output), 0, 5e-7);

        VectorMath.Sigmoid(path, a, output);
        Assert.InRange(Samples.RelativeError([.. x.Select(v => 1 / (1 + Math.Exp(-v)))], output), 0, 5e-7);

        float max = VectorMath.Max(path, a);
        Assert.Equal(a.Max(), max);
        float sum = VectorMath.ExpSum(path, a, max, output);
        Assert.InRange(Samples.RelativeError([.. x.Select(v => Math.Exp(v - max))], output), 0, 5e-7);
        Assert.Equal(x.Sum(v => Math.Exp(v - max)), sum, sum * 1e-6);
        Assert.Equal(x.Sum(), VectorMath.Sum(path, a), 1e-5 * n);
        Assert.Equal(x.Zip(b, (v, w) => v * w).Sum(), VectorMath.Dot(path, a, b), 1e-5 * n);
    }

    [Fact]
    public void Exp_is_exact_to_2e_7_from_underflow_to_overflow()
    {
        const int Count = 1 << 20;
        float[] x = new float[Count], y = new float[Count];
        for (int i = 0; i < Count; i++)
            x[i] = -87.3f + i * (176f / Count);
        VectorMath.Exp(CpuPaths.Best, x, y);
        for (int i = 0; i < Count; i++)
        {
            if (x[i] <= 88.722f)
                Assert.True(Math.Abs(y[i] - Math.Exp(x[i])) <= 2e-7 * Math.Exp(x[i]), $"exp({x[i]:R}) is {y[i]:R}");
        }
    }

    [Fact]
    public void The_edges_of_exp_are_defined()
    {
        float[] x = [0, -0f, float.NegativeInfinity, float.PositiveInfinity, float.NaN, -104, 88.73f, 1000, -1000, -100];
        float[] y = new float[x.Length];
        VectorMath.Exp(CpuPaths.Best, x, y);
        Assert.Equal([1, 1, 0, float.PositiveInfinity, float.NaN, 0, float.PositiveInfinity, float.PositiveInfinity, 0], y[..^1]);
        Assert.InRange(y[^1], 3.6e-44f, 3.9e-44f);
    }

    [Fact]
    public void A_row_may_be_its_own_output()
    {
        float[] x = Samples.Gaussian(37, 65), weight = Samples.Gaussian(37, 66), expected = new float[37];
        VectorMath.RmsNorm(CpuPaths.Best, x, weight, 1e-6f, expected);
        VectorMath.RmsNorm(CpuPaths.Best, x, weight, 1e-6f, x);
        Samples.SameBits(expected, x, "in place");
    }

    [Fact]
    public void Nan_is_passed_over_by_max_and_kept_by_sums()
    {
        float[] x = [3, float.NaN, 5, 4];
        Assert.Equal(5, VectorMath.Max(CpuPaths.Best, x));
        Assert.Equal(float.NaN, VectorMath.Sum(CpuPaths.Best, x));
        Assert.Equal(float.NegativeInfinity, VectorMath.Max(CpuPaths.Best, []));
    }

    [Fact]
    public void Lengths_that_differ_are_refused() =>
        Assert.Throws<ArgumentException>(() => VectorMath.RmsNorm(CpuPaths.Best, new float[4], new float[3], 1e-5f, new float[4]));
}
