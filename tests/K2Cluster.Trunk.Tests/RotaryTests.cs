using K2Cluster.Checkpoint;
using K2Cluster.Tests;
using K2Cluster.Trunk.Attention;

namespace K2Cluster.Trunk.Tests;

public sealed class RotaryTests
{
    private static readonly int[] Pairs = [0, 1, 8, 9, 14, 19, 20, 31];

    public static TheoryData<double, double[]> Published => new()
    {
        { 1, [1, 0.7131110849, 0.0668740305, 0.0476886124, 0.00879428677, 0.00162175991, 1.80702339e-5, 4.38220646e-7] },
        { 32, [1, 0.7131110849, 0.0668740305, 0.0437766560, 0.00446584875, 0.000158374991, 1.80702339e-5, 4.38220646e-7] },
    };

    /// <summary>The frequencies of K2's shape, computed in FP32 by the published code.</summary>
    [Theory]
    [MemberData(nameof(Published))]
    public void Frequencies_are_the_published_models(double betaFast, double[] expected)
    {
        Rotary rotary = new(Config(new RopeScaling(64, 4096, betaFast, 1, 1, 1)));

        for (int i = 0; i < Pairs.Length; i++)
            Assert.Equal(expected[i], rotary.InverseFrequencies[Pairs[i]], expected[i] * 2e-7);
    }

    [Theory]
    [InlineData(64, 0.1446796258)]
    [InlineData(32, 0.13086080)]
    public void The_softmax_scale_is_corrected_for_yarn(double factor, double expected)
    {
        Rotary rotary = new(Config(new RopeScaling(factor, 4096, 1, 1, 1, 1)));

        Assert.Equal(expected, rotary.SoftmaxScale, 1e-8);
    }

    [Fact]
    public void Without_scaling_frequencies_and_scale_are_plain()
    {
        Rotary rotary = new(Config(null));

        Assert.Equal(0.0721687836, rotary.SoftmaxScale, 4e-9);
        for (int i = 0; i < 32; i++)
            Assert.Equal(Math.Pow(50000, -i / 32.0), rotary.InverseFrequencies[i], Math.Pow(50000, -i / 32.0) * 2e-7);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4097)]
    [InlineData(262143)]
    public void Angles_are_of_the_product_rounded_to_FP32(int position)
    {
        Rotary rotary = new(Config(new RopeScaling(64, 4096, 1, 1, 1, 1)));
        float[] cos = new float[32];
        float[] sin = new float[32];

        rotary.Angles(position, cos, sin);

        for (int i = 0; i < 32; i++)
        {
            float angle = (float)position * rotary.InverseFrequencies[i];
            Assert.Equal(Math.Cos(angle), cos[i], 1e-7);
            Assert.Equal(Math.Sin(angle), sin[i], 1e-7);
        }
    }

    [Fact]
    public void Unequal_mscales_stretch_cos_and_sin()
    {
        Rotary rotary = new(Config(new RopeScaling(64, 4096, 1, 1, 1, 0)));
        float[] cos = new float[32];

        rotary.Angles(0, cos, new float[32]);

        Assert.Equal(1.4158883083, cos[0], 1e-7);
        Assert.Equal(0.0721687836, rotary.SoftmaxScale, 4e-9);
    }

    private static ModelConfig Config(RopeScaling? scaling)
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
        return model.Config with { RopeTheta = 50000, RopeScaling = scaling, QkNopeHeadDim = 128, QkRopeHeadDim = 64 };
    }
}
