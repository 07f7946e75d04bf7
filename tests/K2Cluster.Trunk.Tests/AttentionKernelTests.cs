using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk.Attention;

namespace K2Cluster.Trunk.Tests;

/// <summary>A head's bits do not depend on how many heads or tokens are done beside it.</summary>
public sealed unsafe class AttentionKernelTests
{
    private const int Latent = 96;
    private const int Width = 112;
    private const int Tokens = 64;

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(6)]
    [InlineData(64)]
    public void Four_heads_together_give_the_bits_of_each_alone(int count)
    {
        float[] alone = Run<LanesPortable>(heads: 1, count);

        Assert.Equal(alone, Run<LanesPortable>(heads: 4, count));
        Assert.Equal(alone, Run<LanesPortable>(heads: 2, count));
        if (Kernels.Compute.CpuPaths.IsSupported(Kernels.Compute.CpuPath.Avx2))
        {
            Assert.Equal(alone, Run<Lanes256>(heads: 1, count));
            Assert.Equal(alone, Run<Lanes256>(heads: 4, count));
        }

        if (Kernels.Compute.CpuPaths.IsSupported(Kernels.Compute.CpuPath.Avx512))
        {
            Assert.Equal(alone, Run<Lanes512>(heads: 1, count));
            Assert.Equal(alone, Run<Lanes512>(heads: 4, count));
        }
    }

    /// <summary>Scores and then values of four heads, in groups; tokens beyond the count are NaN.</summary>
    private static float[] Run<TLanes>(int heads, int count)
        where TLanes : struct, ILanes<TLanes>
    {
        Random random = new(4);
        float[] query = [.. Enumerable.Range(0, 4 * Width).Select(_ => (float)random.NextDouble() - 0.5f)];
        ushort[] tokens = [.. Enumerable.Range(0, Tokens * Width).Select(i => i < count * Width ? Bf16.FromSingle((float)random.NextDouble() - 0.5f) : (ushort)0x7FC0)];
        float[] scores = new float[4 * Tokens];
        float[] output = [.. Enumerable.Range(0, 4 * Latent).Select(i => i * 0.25f)];
        float[] factors = [0.5f, 0.25f, 0.75f, 1f];
        fixed (float* q = query, s = scores, o = output, f = factors)
        fixed (ushort* t = tokens)
        {
            for (int head = 0; head < 4; head += heads)
            {
                AttentionKernel.Scores<TLanes>(q + (head * Width), heads, t, Width, count, s + (head * Tokens), (byte*)t, Tokens * Width * sizeof(ushort));
                AttentionKernel.Values<TLanes>(s + (head * Tokens), heads, t, Width, count, f + head, resume: true, o + (head * Latent), Latent);
            }
        }

        Assert.All(output, value => Assert.True(float.IsFinite(value)));
        return [.. scores, .. output];
    }
}
