using K2Cluster.Contracts;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Tests;

/// <summary>Batches with known content, and what must come out of them.</summary>
internal static class Batches
{
    public const int HiddenSize = 16;

    public static ExpertBatch Make(int layer, int[][] experts, int seed = 1)
    {
        ExpertBatch batch = new(experts.Length, HiddenSize, experts[0].Length);
        batch.Reset(layer, experts.Length);
        Random random = new(seed);
        foreach (ref ushort value in batch.Hidden.Span)
            value = (ushort)random.Next(65536);
        experts.SelectMany(row => row).ToArray().CopyTo(batch.ExpertIds.Span);
        return batch;
    }

    /// <summary>Every row asks random experts of the grid.</summary>
    public static ExpertBatch Random(ExpertGrid grid, int rows, int expertsPerToken, int seed)
    {
        Random random = new(seed);
        int[][] experts = [.. Enumerable.Range(0, rows).Select(_ => Enumerable.Range(0, grid.Experts).OrderBy(_ => random.Next()).Take(expertsPerToken).ToArray())];
        return Make(grid.FirstLayer + random.Next(grid.Layers), experts, seed);
    }

    public static void AssertDone(ExpertBatch batch)
    {
        Assert.Null(batch.Problem);
        for (int row = 0; row < batch.Rows; row++)
            AssertDone(batch, row);
    }

    public static void AssertDone(ExpertBatch batch, int row)
    {
        Assert.Equal(RowStatus.Done, batch.Statuses.Span[row]);
        for (int k = 0; k < batch.ExpertsPerToken; k++)
        {
            int pair = (row * batch.ExpertsPerToken) + k;
            ushort[] expected = [.. batch.Hidden.Span.Slice(row * HiddenSize, HiddenSize).ToArray().Select(value => MadeUpDevice.Output(value, batch.Layer, batch.ExpertIds.Span[pair]))];
            Assert.Equal(expected, batch.Outputs.Span.Slice(pair * HiddenSize, HiddenSize).ToArray());
        }
    }
}
