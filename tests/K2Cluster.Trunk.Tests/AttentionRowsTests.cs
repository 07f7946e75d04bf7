using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Tests;
using K2Cluster.Trunk.Attention;
using K2Cluster.Trunk.Rows;
using K2Cluster.Trunk.Steps;

namespace K2Cluster.Trunk.Tests;

/// <summary>A row's attention has the same bits however rows, heads and splits are cut, and is what the formula says.</summary>
public sealed unsafe class AttentionRowsTests : IDisposable
{
    private const int MaxPosition = 12_000;

    private readonly ModelDirectory _model = ModelDirectory.Open(Repository.Fixture("tiny-k2-ramp"));

    public static TheoryData<int, int, int> Cases => new()
    {
        // Heads, first position, rows.
        { 4, 0, 1 },
        { 5, 60, 9 }, // over a page
        { 3, 1020, 8 }, // over a split
        { 1, 2047, 2 },
        { 6, 3 * 1024, 5 }, // splits by themselves
        { 33, 2100, 6 },
        { 17, 11_000, 33 }, // more splits than there are slots: some rows join as they go
    };

    public void Dispose() => _model.Dispose();

    [Theory]
    [MemberData(nameof(Cases))]
    public void Rows_together_have_the_bits_of_each_alone(int heads, int position, int rows)
    {
        ModelConfig config = _model.Config with { HeadCount = heads };
        using KvMemory memory = Memory(config);
        float[] together = Run(config, memory, CpuPaths.Best, threads: 3, position, rows, first: 0, count: rows);
        int width = together.Length / rows;

        foreach (int row in new[] { 0, rows / 2, rows - 1 })
        {
            float[] expected = together[(row * width)..((row + 1) * width)];
            Compare.SameBits([expected], [Run(config, memory, CpuPaths.Best, threads: 1, position, rows, row, count: 1)], $"row {row} alone");
            Compare.SameBits([expected], [Run(config, memory, CpuPaths.Best, threads: 8, position, rows, row, count: 1)], $"row {row} alone on many threads");
        }

        if (CpuPaths.IsSupported(CpuPath.Avx2))
            Compare.SameBits([together], [Run(config, memory, CpuPath.Avx2, threads: 2, position, rows, first: 0, count: rows)], "AVX2");
        Assert.InRange(Compare.RelativeError(together[..memory.LatentWidth], Exact(config, memory, position, rows)), 0, 1e-5);
    }

    [Fact]
    public void The_portable_path_has_the_same_bits()
    {
        ModelConfig config = _model.Config with { HeadCount = 5 };
        using KvMemory memory = Memory(config);

        Compare.SameBits(
            [Run(config, memory, CpuPaths.Best, threads: 3, 2100, rows: 3, first: 0, count: 3)],
            [Run(config, memory, CpuPath.Portable, threads: 1, 2100, rows: 3, first: 0, count: 3)],
            "portable");
    }

    [Fact]
    public void Sequences_of_all_lengths_share_a_block()
    {
        ModelConfig config = _model.Config with { HeadCount = 6 };
        using KvMemory memory = Memory(config);
        int[] positions = [3, 11_500, 64, 5000, 1024, 0, 8000, 2050];
        float[] together = Run(config, memory, CpuPaths.Best, threads: 3, positions);
        int width = together.Length / positions.Length;

        for (int i = 0; i < positions.Length; i++)
        {
            // The same query in the same place of the block: the others leave.
            float[] alone = Run(config, memory, CpuPaths.Best, threads: 1, positions, live: i);
            Compare.SameBits([together[(i * width)..((i + 1) * width)]], [alone[(i * width)..((i + 1) * width)]], $"position {positions[i]}");
        }
    }

    private static KvMemory Memory(ModelConfig config)
    {
        KvMemory memory = new(config, 1, (MaxPosition / ITrunk.PageTokens) + 1);
        Random random = new(8);
        for (int page = 0; page < memory.PageCount; page++)
        {
            ushort* at = memory.Page(0, page);
            for (int i = 0; i < ITrunk.PageTokens * memory.TokenWidth; i++)
                at[i] = Bf16.FromSingle((random.NextSingle() - 0.5f) * 3);
        }

        return memory;
    }

    /// <summary>Rows [first, first + count) of a sequence's, all of which have queries of their own.</summary>
    private static float[] Run(ModelConfig config, KvMemory memory, CpuPath path, int threads, int position, int rows, int first, int count)
    {
        TrunkBatch batch = new();
        AddSequence(batch, memory, position + first, count);
        return Run(config, memory, path, threads, batch, rows, first, live: -1);
    }

    /// <summary>One row of each sequence.</summary>
    private static float[] Run(ModelConfig config, KvMemory memory, CpuPath path, int threads, int[] positions, int live = -1)
    {
        TrunkBatch batch = new();
        foreach (int position in positions)
            AddSequence(batch, memory, position, 1);
        return Run(config, memory, path, threads, batch, positions.Length, 0, live);
    }

    private static float[] Run(ModelConfig config, KvMemory memory, CpuPath path, int threads, TrunkBatch batch, int queries, int firstQuery, int live)
    {
        using CpuCompute compute = new(threads, path);
        using StepRows step = new(config, batch.Rows);
        using RowBuffer query = new(RowBlock.Rows, config.HeadCount * memory.TokenWidth);
        using RowBuffer output = new(RowBlock.Rows, config.HeadCount * memory.LatentWidth);
        using AttentionRows attention = new(config, compute, memory, query, output);
        Queries(query, queries)[(firstQuery * query.Width)..((firstQuery + batch.Rows) * query.Width)].CopyTo(query.Span(0, batch.Rows));
        TrunkResult result = new();
        result.Reset(batch.Sequences.Count, 0, 0);
        step.Prepare(batch, result);
        for (int sequence = 0; live >= 0 && sequence < batch.Sequences.Count; sequence++)
        {
            if (sequence != live)
                step.Leave(sequence);
        }

        attention.Run(0, step, 0, batch.Rows);
        return output.Span(0, batch.Rows).ToArray();
    }

    private static void AddSequence(TrunkBatch batch, KvMemory memory, int position, int count)
    {
        int pages = ((position + count - 1) / ITrunk.PageTokens) + 1;
        batch.Sequences.Add(new SequenceSlice(batch.Rows, count, batch.PageTable.Count, pages));
        batch.PageTable.AddRange(Enumerable.Range(0, pages).Select(page => memory.PageCount - 1 - page));
        for (int i = 0; i < count; i++)
        {
            batch.Tokens.Add(0);
            batch.Positions.Add(position + i);
        }
    }

    private static float[] Queries(RowBuffer buffer, int rows)
    {
        Random random = new(9);
        return [.. Enumerable.Range(0, rows * buffer.Width).Select(_ => random.NextSingle() - 0.5f)];
    }

    /// <summary>The first head of the first row of a sequence, in FP64.</summary>
    private static float[] Exact(ModelConfig config, KvMemory memory, int position, int rows)
    {
        using RowBuffer buffer = new(1, config.HeadCount * memory.TokenWidth);
        float[] query = Queries(buffer, rows)[..memory.TokenWidth];
        double scale = new Rotary(config).SoftmaxScale;
        double[] scores = new double[position + 1];
        for (int t = 0; t < scores.Length; t++)
        {
            for (int d = 0; d < memory.TokenWidth; d++)
                scores[t] += (double)query[d] * Value(t, d) * scale;
        }

        double max = scores.Max();
        double sum = scores.Sum(score => Math.Exp(score - max));
        float[] output = new float[memory.LatentWidth];
        for (int d = 0; d < output.Length; d++)
            output[d] = (float)Enumerable.Range(0, scores.Length).Sum(t => Math.Exp(scores[t] - max) / sum * Value(t, d));
        return output;

        float Value(int t, int d) =>
            Bf16.ToSingle(memory.Page(0, memory.PageCount - 1 - (t / ITrunk.PageTokens))[(t % ITrunk.PageTokens * memory.TokenWidth) + d]);
    }
}
