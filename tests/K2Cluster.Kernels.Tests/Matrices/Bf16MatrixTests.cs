using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Kernels.Tests.Matrices;

public sealed class Bf16MatrixTests
{
    public static TheoryData<int, int, int> Shapes()
    {
        TheoryData<int, int, int> shapes = [];
        foreach (int rows in new[] { 1, 15, 16, 17, 63, 64, 65, 130 })
        {
            foreach (int columns in new[] { 1, 2, 3, 31, 32, 511, 512, 513, 1031 })
            {
                foreach (int count in new[] { 1, 2, 3, 4, 5, 9 })
                    shapes.Add(rows, columns, count);
            }
        }

        return shapes;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_path_gives_the_bits_of_the_stated_chain(int rows, int columns, int count)
    {
        ushort[] weights = Samples.GaussianBf16(rows * columns, 1);
        float[] input = Samples.Gaussian(count * columns, 2);
        float[] expected = Chain(weights, rows, columns, input, count);
        using Bf16Matrix matrix = Bf16Matrix.Pack(weights, rows, columns);
        foreach (CpuPath path in Samples.Paths)
        {
            using CpuCompute compute = new(1, path);
            float[] output = new float[count * rows];
            matrix.Multiply(compute, input, columns, output, rows, count);
            Samples.SameBits(expected, output, $"{path} {rows} × {columns}, {count} rows");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(37)]
    public void Neither_threads_nor_company_change_a_row(int count)
    {
        const int Rows = 333;
        const int Columns = 1026;
        using Bf16Matrix matrix = Bf16Matrix.Pack(Samples.GaussianBf16(Rows * Columns, 3), Rows, Columns);
        float[] input = Samples.Gaussian(count * Columns, 4);
        float[] alone = new float[count * Rows];
        using (CpuCompute single = new(1, CpuPath.Portable))
        {
            for (int i = 0; i < count; i++)
                matrix.Multiply(single, input.AsSpan(i * Columns, Columns), Columns, alone.AsSpan(i * Rows, Rows), Rows, 1);
        }

        foreach (CpuPath path in Samples.Paths)
        {
            foreach (int threads in new[] { 1, 2, 3, 5 })
            {
                using CpuCompute compute = new(threads, path);
                float[] batch = new float[count * Rows];
                matrix.Multiply(compute, input, Columns, batch, Rows, count);
                Samples.SameBits(alone, batch, $"{path}, {threads} threads");
            }
        }
    }

    [Fact]
    public void Few_blocks_and_many_rows_split_the_rows_and_keep_the_bits()
    {
        const int Rows = 40;
        const int Columns = 96;
        const int Count = 4096;
        using Bf16Matrix matrix = Bf16Matrix.Pack(Samples.GaussianBf16(Rows * Columns, 5), Rows, Columns);
        float[] input = Samples.Gaussian(Count * Columns, 6);
        float[]? first = null;
        foreach (CpuPath path in Samples.Paths)
        {
            foreach (int threads in new[] { 1, 3 })
            {
                using CpuCompute compute = new(threads, path);
                float[] output = new float[Count * Rows];
                matrix.Multiply(compute, input, Columns, output, Rows, Count);
                Samples.SameBits(first ??= output, output, $"{path}, {threads} threads");
            }
        }
    }

    [Fact]
    public void Strides_are_honoured_and_nothing_between_rows_is_written()
    {
        const int Rows = 21;
        const int Columns = 35;
        ushort[] weights = Samples.GaussianBf16(Rows * Columns, 7);
        using Bf16Matrix matrix = Bf16Matrix.Pack(weights, Rows, Columns);
        float[] input = Samples.Gaussian(5 * 50, 8);
        using CpuCompute compute = new(1, CpuPaths.Best);
        float[] output = new float[5 * 30];
        Array.Fill(output, -7f);
        matrix.Multiply(compute, input, 50, output, 30, 5);
        for (int i = 0; i < 5; i++)
        {
            float[] expected = Chain(weights, Rows, Columns, input.AsSpan(i * 50, Columns).ToArray(), 1);
            Samples.SameBits(expected, output.AsSpan(i * 30, Rows), $"row {i}");
            Assert.All(output[(i * 30 + Rows)..((i + 1) * 30)], value => Assert.Equal(-7f, value));
        }
    }

    [Fact]
    public void Another_order_of_summation_is_seen()
    {
        // The comparison by bits must be able to fail: k from the end gives other roundings.
        const int Rows = 16;
        const int Columns = 512;
        ushort[] weights = Samples.GaussianBf16(Rows * Columns, 9);
        float[] input = Samples.Gaussian(Columns, 10);
        float[] forward = Chain(weights, Rows, Columns, input, 1);
        ushort[] mirrored = new ushort[weights.Length];
        for (int r = 0; r < Rows; r++)
        {
            for (int k = 0; k < Columns; k++)
                mirrored[(r * Columns) + k] = weights[(r * Columns) + Columns - 1 - k];
        }

        float[] backward = Chain(mirrored, Rows, Columns, [.. input.Reverse()], 1);
        Assert.True(Samples.FirstDifference(forward, backward) >= 0);
    }

    [Fact]
    public void A_product_is_accurate()
    {
        const int Rows = 64;
        const int Columns = 7168;
        ushort[] weights = Samples.GaussianBf16(Rows * Columns, 11);
        float[] input = Samples.Gaussian(Columns, 12);
        using Bf16Matrix matrix = Bf16Matrix.Pack(weights, Rows, Columns);
        using CpuCompute compute = new(2, CpuPaths.Best);
        float[] output = new float[Rows];
        matrix.Multiply(compute, input, Columns, output, Rows, 1);
        float[] wide = Samples.Widen(weights);
        double[] exact = new double[Rows];
        for (int r = 0; r < Rows; r++)
        {
            for (int k = 0; k < Columns; k++)
                exact[r] += (double)wide[(r * Columns) + k] * input[k];
        }

        Assert.InRange(Samples.RelativeError(exact, output), 0, 3e-6);
    }

    [Fact]
    public void Rows_may_be_set_piece_by_piece()
    {
        const int Rows = 45;
        const int Columns = 67;
        ushort[] weights = Samples.GaussianBf16(Rows * Columns, 13);
        using Bf16Matrix whole = Bf16Matrix.Pack(weights, Rows, Columns);
        using Bf16Matrix pieces = new(Rows, Columns);
        for (int row = 0; row < Rows; row += 7)
            pieces.SetRows(row, weights.AsSpan(row * Columns, Math.Min(7, Rows - row) * Columns));
        float[] input = Samples.Gaussian(Columns, 14);
        float[] expected = new float[Rows], actual = new float[Rows];
        using CpuCompute compute = new(1, CpuPaths.Best);
        whole.Multiply(compute, input, Columns, expected, Rows, 1);
        pieces.Multiply(compute, input, Columns, actual, Rows, 1);
        Samples.SameBits(expected, actual, "pieces");
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using Bf16Matrix matrix = new(8, 10);
        using CpuCompute compute = new(1, CpuPaths.Best);
        Assert.Throws<ArgumentException>(() => Bf16Matrix.Pack(new ushort[9], 2, 5));
        Assert.Throws<ArgumentException>(() => matrix.SetRows(0, new ushort[11]));
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.SetRows(7, new ushort[20]));
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.Multiply(compute, new float[19], 10, new float[16], 8, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.Multiply(compute, new float[20], 10, new float[15], 8, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.Multiply(compute, new float[20], 9, new float[16], 8, 2));
    }

    [Fact]
    public void A_product_allocates_nothing()
    {
        using Bf16Matrix matrix = new(256, 512);
        using CpuCompute compute = new(2, CpuPaths.Best);
        float[] input = new float[512], output = new float[256];
        matrix.Multiply(compute, input, 512, output, 256, 1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            matrix.Multiply(compute, input, 512, output, 256, 1);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static float[] Chain(ushort[] weights, int rows, int columns, float[] input, int count)
    {
        float[] wide = Samples.Widen(weights);
        float[] output = new float[count * rows];
        for (int i = 0; i < count; i++)
        {
            for (int r = 0; r < rows; r++)
            {
                float sum = 0;
                for (int k = 0; k < columns; k++)
                    sum = MathF.FusedMultiplyAdd(wide[(r * columns) + k], input[(i * columns) + k], sum);
                output[(i * rows) + r] = sum;
            }
        }

        return output;
    }
}
