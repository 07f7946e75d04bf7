using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Tests.Numerics;

public sealed class ReproducibleMathTests
{
    private const int Count = 200_000;

    [Theory]
    [InlineData(-1e-3, 1e-3)]
    [InlineData(-1, 1)]
    [InlineData(-745, 709)]
    public void Exp_is_within_1e_15_of_the_librarys(double from, double to) =>
        Check(from, to, ReproducibleMath.Exp, Math.Exp, relative: true);

    [Theory]
    [InlineData(0.5, 2)]
    [InlineData(1e-300, 1e-290)]
    [InlineData(1, 1e9)]
    public void Log_is_within_1e_15_of_the_librarys(double from, double to) =>
        Check(from, to, ReproducibleMath.Log, Math.Log, relative: true);

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(-100, 100)]
    [InlineData(0, 262144)]
    [InlineData(-1073741824.0, 1073741824.0)]
    public void Sin_and_cos_are_within_1e_15_of_the_librarys(double from, double to)
    {
        Check(from, to, ReproducibleMath.Sin, Math.Sin, relative: false);
        Check(from, to, ReproducibleMath.Cos, Math.Cos, relative: false);
    }

    [Fact]
    public void Multiples_of_half_pi_keep_their_relative_accuracy()
    {
        for (int n = 1; n < 100_000; n++)
        {
            double x = n * Math.PI;
            Assert.InRange(Math.Abs(ReproducibleMath.Sin(x) - Math.Sin(x)) / Math.Abs(Math.Sin(x)), 0, 1e-15);
        }
    }

    [Fact]
    public void Edges_are_defined()
    {
        Assert.Equal(1, ReproducibleMath.Exp(0));
        Assert.Equal(0, ReproducibleMath.Exp(double.NegativeInfinity));
        Assert.Equal(double.PositiveInfinity, ReproducibleMath.Exp(710));
        Assert.Equal(double.NaN, ReproducibleMath.Exp(double.NaN));
        Assert.Equal(0, ReproducibleMath.Log(1));
        Assert.Equal(double.NegativeInfinity, ReproducibleMath.Log(0));
        Assert.Equal(double.NaN, ReproducibleMath.Log(-1));
        Assert.Equal(Math.Log(double.Epsilon), ReproducibleMath.Log(double.Epsilon), 1e-12);
        Assert.Equal(0, ReproducibleMath.Sin(0));
        Assert.Equal(1, ReproducibleMath.Cos(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => ReproducibleMath.Sin(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => ReproducibleMath.Cos(double.PositiveInfinity));
    }

    private static void Check(double from, double to, Func<double, double> ours, Func<double, double> theirs, bool relative)
    {
        Random random = new(51);
        for (int i = 0; i < Count; i++)
        {
            double x = from + (to - from) * random.NextDouble();
            double expected = theirs(x);
            double scale = relative ? Math.Max(Math.Abs(expected), 2.2250738585072014e-308) : 1;
            double error = Math.Abs(ours(x) - expected) / scale;
            Assert.True(error <= 1e-15, $"at {x:R}: {ours(x):R}, not {expected:R}");
        }
    }
}
