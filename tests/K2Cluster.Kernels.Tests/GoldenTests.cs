using System.Runtime.InteropServices;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Matrices;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Kernels.Tests.Devices;

namespace K2Cluster.Kernels.Tests;

/// <summary>
/// Hashes of results that every machine must give. One that changes means that the kind "cpu" (or "cpu-int8") has changed: silos of the old
/// and the new build may then not hold replicas of one expert.
/// </summary>
public sealed class GoldenTests
{
    [Theory]
    [InlineData(CpuActivations.Bits16, 0xE326_8DAF_F097_1607UL)]
    [InlineData(CpuActivations.Bits8, 0x899A_8334_97FE_9C13UL)]
    public void An_int4_expert_gives_the_golden_bits(CpuActivations activations, ulong golden)
    {
        const int Hidden = 96;
        using RandomExperts model = new(int4: true, Hidden, 64, experts: 3);
        foreach (CpuPath path in Samples.Paths)
        {
            using CpuCompute compute = new(2, path);
            using CpuExpertDevice device = new(model.Config, model.Catalog, long.MaxValue, compute, activations: activations);
            using ExpertWork work = device.CreateWork(3, 3);
            work.Reset(1, 3, 3);
            Bf16.Round(Uniform(3 * Hidden, 1), work.Hidden);
            for (int i = 0; i < 3; i++)
            {
                device.Load(new ExpertKey(1, i), model);
                work.PairRows[i] = i;
                work.PairExperts[i] = i;
            }

            device.Forward(work);
            Assert.Equal(golden, Hash<ushort>(work.Outputs));
        }
    }

    [Fact]
    public void A_bf16_product_gives_the_golden_bits()
    {
        ushort[] weights = new ushort[40 * 70];
        Bf16.Round(Uniform(weights.Length, 2), weights);
        using Bf16Matrix matrix = Bf16Matrix.Pack(weights, 40, 70);
        foreach (CpuPath path in Samples.Paths)
        {
            using CpuCompute compute = new(2, path);
            float[] output = new float[5 * 40];
            matrix.Multiply(compute, Uniform(5 * 70, 3), 70, output, 40, 5);
            Assert.Equal(0xFA47_EA0B_A080_E394UL, Hash<float>(output));
        }
    }

    [Fact]
    public void Vector_functions_give_the_golden_bits()
    {
        foreach (CpuPath path in Samples.Paths)
        {
            float[] a = Uniform(1000, 4), b = Uniform(1000, 5), output = new float[1000];
            VectorMath.RmsNorm(path, a, b, 1e-5f, output);
            VectorMath.SwiGlu(path, output, b, output);
            output[0] = VectorMath.ExpSum(path, output, VectorMath.Max(path, output), output);
            output[1] = VectorMath.Dot(path, a, b);
            Assert.Equal(0x994C_72B9_093A_C44CUL, Hash<float>(output));
        }
    }

    [Fact]
    public void Tables_have_the_golden_bits()
    {
        double[] values = new double[4000];
        for (int i = 0; i < 1000; i++)
        {
            values[i] = ReproducibleMath.Exp((i - 500) * 0.37);
            values[1000 + i] = ReproducibleMath.Log((i + 1) * 0.73);
            values[2000 + i] = ReproducibleMath.Sin(i * 262.1);
            values[3000 + i] = ReproducibleMath.Cos(i * 262.1);
        }

        Assert.Equal(0x0F1A_B283_C7C2_E8FCUL, Hash<double>(values));
    }

    /// <summary>In −2..2, from the seeded generator alone: no function of a library.</summary>
    private static float[] Uniform(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.NextSingle() * 4 - 2)];
    }

    /// <summary>FNV-1a.</summary>
    private static ulong Hash<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        ulong hash = 14695981039346656037;
        foreach (byte value in MemoryMarshal.AsBytes(values))
            hash = (hash ^ value) * 1099511628211;
        return hash;
    }
}
