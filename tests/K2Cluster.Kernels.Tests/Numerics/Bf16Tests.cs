using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Tests.Numerics;

public sealed class Bf16Tests
{
    [Theory]
    [InlineData(0x3F80_0000u, 0x3F80)]
    [InlineData(0x3F80_8000u, 0x3F80)] // half, to even
    [InlineData(0x3F81_8000u, 0x3F82)] // half, to even
    [InlineData(0x3F80_8001u, 0x3F81)]
    [InlineData(0x8000_0000u, 0x8000)]
    [InlineData(0x7F7F_FFFFu, 0x7F80)] // beyond the largest
    [InlineData(0x7F80_0000u, 0x7F80)]
    [InlineData(0xFF80_0000u, 0xFF80)]
    [InlineData(0x7F80_0001u, 0x7FC0)] // a NaN whose payload would be cut to infinity
    [InlineData(0xFFFF_FFFFu, 0x7FC0)] // a NaN that would round over to zero
    [InlineData(0x0000_0001u, 0x0000)]
    public void A_value_rounds_to_nearest_even(uint bits, int expected) =>
        Assert.Equal((ushort)expected, Bf16.FromSingle(BitConverter.UInt32BitsToSingle(bits)));

    [Fact]
    public void All_bf16_values_survive_the_way_there_and_back()
    {
        for (int bits = 0; bits <= ushort.MaxValue; bits++)
        {
            float value = Bf16.ToSingle((ushort)bits);
            Assert.Equal(float.IsNaN(value) ? 0x7FC0 : bits, Bf16.FromSingle(value));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(1000)]
    public void Spans_round_and_widen_as_single_values_do_on_every_path(int count)
    {
        Random random = new(count);
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
        ushort[] expected = [.. values.Select(Bf16.FromSingle)];
        Check<LanesPortable>();
        if (CpuPaths.IsSupported(CpuPath.Avx2))
            Check<Lanes256>();
        if (CpuPaths.IsSupported(CpuPath.Avx512))
            Check<Lanes512>();
        ushort[] best = new ushort[count];
        Bf16.Round(values, best);
        Assert.Equal(expected, best);

        void Check<TLanes>()
            where TLanes : struct, ILanes<TLanes>
        {
            ushort[] rounded = new ushort[count];
            float[] widened = new float[count];
            Bf16.Round<TLanes>(values, rounded);
            Bf16.Widen<TLanes>(rounded, widened);
            Assert.Equal(expected, rounded);
            Samples.SameBits([.. expected.Select(Bf16.ToSingle)], widened, typeof(TLanes).Name);
        }
    }

    [Fact]
    public void A_destination_that_is_too_short_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Bf16.Round(new float[17], new ushort[16]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Bf16.Widen(new ushort[17], new float[16]));
    }
}
