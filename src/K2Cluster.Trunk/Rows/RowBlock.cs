using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Trunk.Rows;

/// <summary>Rows go through a layer in blocks: enough of them that a weight is read once for many, few enough that buffers stay small.</summary>
internal static class RowBlock
{
    public const int Rows = 64;

    /// <summary>The first <paramref name="count"/> rows of a buffer times a matrix.</summary>
    public static void Multiply(this Bf16Matrix matrix, CpuCompute compute, RowBuffer input, RowBuffer output, int count) =>
        matrix.Multiply(compute, input.Span(0, count), input.Width, output.Span(0, count), output.Width, count);
}
