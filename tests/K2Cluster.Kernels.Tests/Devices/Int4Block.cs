using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Tests.Devices;

/// <summary>One block of 16 rows of INT4 weights, for tests of its products.</summary>
internal static unsafe class Int4Block
{
    /// <summary>One block with one row alone; checked to be what the row gives in every tile.</summary>
    public static float[] Dot<TLanes, TKernel>(uint[] packed, ushort[] scales, int groups, float[] x, CpuActivations activations)
        where TLanes : struct, ILanes<TLanes>
        where TKernel : struct, IInt4Kernel
    {
        byte[] block = new byte[groups * Int4Kernel.RecordBytes];
        float[] output = new float[16];
        float[] tile = new float[8 * 16];
        using QuantizedRows rows = new(2, groups * 32, activations);
        float[] other = Samples.Gaussian(groups * 32, 99);
        int** tiled = stackalloc int*[8];
        fixed (byte* weights = block)
        fixed (float* source = x, second = other, single = output, tiles = tile)
        {
            Int4Kernel.Pack(packed, scales, groups, weights);
            rows.Set<TLanes>(0, source);
            rows.Set<TLanes>(1, second);
            for (int i = 0; i < 8; i++)
                tiled[i] = rows.Row(1 - i % 2);
            TKernel.Dot1<TLanes>(weights, groups, rows.Row(0), single);
            foreach (int count in new[] { 2, 4, 8 })
            {
                tile.AsSpan().Clear();
                if (count == 2)
                    TKernel.Dot2<TLanes>(weights, groups, tiled, tiles);
                else if (count == 4)
                    TKernel.Dot4<TLanes>(weights, groups, tiled, tiles);
                else
                    TKernel.Dot8<TLanes>(weights, groups, tiled, tiles);
                for (int row = 1; row < count; row += 2)
                    Samples.SameBits(output, tile.AsSpan(row * 16, 16), $"row {row} of {count}");
            }
        }

        return output;
    }
}
