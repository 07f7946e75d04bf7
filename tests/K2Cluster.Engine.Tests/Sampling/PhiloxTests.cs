using K2Cluster.Engine.Sampling;

namespace K2Cluster.Engine.Tests.Sampling;

public sealed class PhiloxTests
{
    /// <summary>Known answers of philox4x32-10, from Random123's tests/kat_vectors.</summary>
    [Theory]
    [InlineData(0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8)]
    [InlineData(0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd)]
    [InlineData(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1)]
    public void The_published_answers_come_out(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint x0, uint x1, uint x2, uint x3) =>
        Assert.Equal(new Philox.Block(x0, x1, x2, x3), Philox.Generate(new Philox.Block(c0, c1, c2, c3), k0, k1));

    /// <summary>From a separate implementation of the mapping of (seed, choice, position).</summary>
    [Theory]
    [InlineData(0, 0, 0, 0.3990464708489645)]
    [InlineData(1, 0, 0, 0.8902591729757107)]
    [InlineData(0, 1, 0, 0.5166791607485287)]
    [InlineData(0, 0, 1, 0.9722412015223156)]
    [InlineData(0x0123456789abcdef, 3, 5, 0.602480549384382)]
    [InlineData(ulong.MaxValue, 0, 262143, 0.019266903098257515)]
    public void Seed_choice_and_position_are_the_key(ulong seed, int choice, long position, double expected) =>
        Assert.Equal(expected, Philox.Uniform(seed, choice, position));

    [Fact]
    public void Draws_are_uniform_and_below_one()
    {
        int[] buckets = new int[100];
        for (int position = 0; position < 100_000; position++)
        {
            double draw = Philox.Uniform(7, 0, position);
            Assert.InRange(draw, 0, 1 - 1e-16);
            buckets[(int)(draw * 100)]++;
        }

        // Chi-square, 99 degrees of freedom: 99 ± 14; seven deviations either way (too even is wrong as well).
        Assert.InRange(buckets.Sum(count => (count - 1000.0) * (count - 1000.0) / 1000), 30, 200);
    }
}
