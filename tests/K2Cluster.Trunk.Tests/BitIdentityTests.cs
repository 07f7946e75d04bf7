using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

/// <summary>A row's bits depend on its text and nothing else. 200 tokens: four tiles, several blocks of rows.</summary>
public sealed class BitIdentityTests : IDisposable
{
    private static readonly int[] Prompt = Tokens(1, 200);

    private readonly ModelDirectory _model = ModelDirectory.Open(Repository.Fixture("tiny-k2-ramp"));

    public static TheoryData<CpuPath, int, int> Ways
    {
        get
        {
            TheoryData<CpuPath, int, int> ways = [];
            foreach (CpuPath path in Enum.GetValues<CpuPath>().Where(CpuPaths.IsSupported))
                ways.Add(path, 1, int.MaxValue);
            ways.Add(CpuPaths.Best, 2, int.MaxValue);
            ways.Add(CpuPaths.Best, 3, int.MaxValue);
            ways.Add(CpuPaths.Best, 1, 2);
            ways.Add(CpuPaths.Best, 2, 64);
            return ways;
        }
    }

    public void Dispose() => _model.Dispose();

    [Theory]
    [MemberData(nameof(Ways))]
    public void Instruction_set_threads_and_micro_batches_change_no_bit(CpuPath path, int threads, int microBatchRows)
    {
        float[][] expected = Reference();
        using TrunkHarness harness = new(_model, path, threads, microBatchRows: microBatchRows);

        // The portable path is some 30 times slower.
        int rows = path == CpuPath.Portable ? 100 : 200;
        Compare.SameBits(expected[..rows], harness.Prefill(new TestSequence(), Prompt[..rows], rows), "whole");
        Compare.SameBits(expected[..(rows / 4)], harness.Prefill(new TestSequence(), Prompt[..(rows / 4)], 1), "token by token");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(64)]
    [InlineData(100)]
    public void Chunks_change_no_bit(int chunk)
    {
        float[][] expected = Reference();
        using TrunkHarness harness = new(_model);

        Compare.SameBits(expected, harness.Prefill(new TestSequence(), Prompt, chunk), $"chunks of {chunk}");
    }

    [Fact]
    public void Chunks_change_no_bit_beyond_a_KV_split()
    {
        int[] prompt = Tokens(2, 1100);
        using TrunkHarness whole = new(_model, maxRows: 1100, pages: 20);
        using TrunkHarness chunked = new(_model, threads: 2, maxRows: 333, microBatchRows: 64, pages: 20);
        float[][] expected = whole.Prefill(new TestSequence(), prompt, 1100);
        TestSequence sequence = new();

        Compare.SameBits(expected[..1020], chunked.Prefill(sequence, prompt[..1020], 333), "up to the split");
        Compare.SameBits(expected[1020..1030], chunked.Prefill(sequence, prompt[1020..1030], 1), "over the split, token by token");
        Compare.SameBits(expected[1030..], chunked.Prefill(sequence, prompt[1030..], 41), "beyond the split");
    }

    [Fact]
    public void Other_sequences_in_the_batch_change_no_bit()
    {
        float[][] expected = Reference();
        using TrunkHarness harness = new(_model, threads: 2, microBatchRows: 5);
        TestSequence before = new();
        TestSequence sequence = new();
        TestSequence after = new();
        List<float[]> actual = [];

        // Of different ages, lengths and places in the batch; some steps are cut within the sequence.
        for (int at = 0; at < Prompt.Length;)
        {
            int count = Math.Min(1 + (at % 29), Prompt.Length - at);
            int others = 1 + (at % 3);
            float[][] logits = harness.Step((before, Tokens(at, others)), (sequence, Prompt[at..(at + count)]), (after, Tokens(at + 1, 4)));
            actual.AddRange(logits.AsSpan(others, count));
            at += count;
        }

        Compare.SameBits(expected, [.. actual], "among others");
    }

    [Fact]
    public void Layer_ranges_change_no_bit()
    {
        float[][] expected = Reference();
        using TrunkHarness harness = new(_model, microBatchRows: 64);

        harness.Fill((new TestSequence(), Prompt));
        harness.Trunk.Run(harness.Batch, new LayerRange(0, 0), harness.Result);
        harness.Trunk.Run(harness.Batch, new LayerRange(0, 1), harness.Result);
        Assert.Equal(0, harness.Result.LogitRows);
        for (int layer = 1; layer < harness.Trunk.LayerCount; layer++)
            harness.Trunk.Run(harness.Batch, new LayerRange(layer, layer + 1), harness.Result);

        Compare.SameBits(expected, harness.TakeLogits(), "layer by layer");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Rows_handed_to_another_trunk_give_the_same_bits(int cut)
    {
        float[][] expected = Reference();
        int layers = _model.Config.LayerCount;
        using TrunkHarness first = new(_model, layers: new LayerRange(0, cut));
        using TrunkHarness second = new(_model, layers: new LayerRange(cut, layers));
        TestSequence sequence = new();
        List<float[]> actual = [];

        foreach (int[] tokens in Prompt.Chunk(90))
        {
            first.Fill((sequence, tokens));
            sequence.Length += tokens.Length;
            first.Trunk.Run(first.Batch, new LayerRange(0, cut), first.Result);
            float[] rows = new float[tokens.Length * first.Trunk.HiddenSize];
            first.Trunk.ReadRows(rows);
            second.Trunk.WriteRows(rows);
            second.Trunk.Run(first.Batch, new LayerRange(cut, layers), second.Result);
            actual.AddRange(second.TakeLogits());
        }

        Compare.SameBits(expected, [.. actual], $"cut at {cut}");
    }

    [Fact]
    public void A_copied_page_serves_a_second_sequence()
    {
        float[][] expected = Reference();
        using TrunkHarness harness = new(_model);
        TestSequence first = new();
        harness.Prefill(first, Prompt[..150], 150);
        int[] other = [.. Prompt[..150], .. Tokens(77, 20)];

        // The second shares two full pages and the 22 tokens of a third, which each of them goes on to write.
        TestSequence second = new() { Length = 150 };
        second.Pages.AddRange([first.Pages[0], first.Pages[1], 5]);
        Assert.DoesNotContain(5, first.Pages);
        harness.Fill((first, Prompt[150..]), (second, other[150..]));
        harness.Batch.Copies.Add(new PageCopy(first.Pages[2], 5, 22));
        harness.Trunk.Run(harness.Batch, harness.AllLayers, harness.Result);
        float[][] logits = harness.TakeLogits();

        Compare.SameBits(expected[150..], logits[..50], "the first");
        using TrunkHarness alone = new(_model);
        Compare.SameBits(alone.Prefill(new TestSequence(), other, 170)[150..], logits[50..], "the second");
    }

    internal static int[] Tokens(int seed, int count)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(700))];
    }

    private float[][] Reference()
    {
        using TrunkHarness harness = new(_model);
        return harness.Prefill(new TestSequence(), Prompt, 200);
    }
}
