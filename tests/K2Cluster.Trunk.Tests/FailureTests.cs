using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Experts;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

/// <summary>One row fails: its sequence leaves the step, the others do not notice, and a replay gives the right bits.</summary>
public sealed class FailureTests : IDisposable
{
    private static readonly int[] Before = BitIdentityTests.Tokens(11, 6);
    private static readonly int[] Failing = BitIdentityTests.Tokens(12, 9);
    private static readonly int[] After = BitIdentityTests.Tokens(13, 5);

    private readonly ModelDirectory _model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
    private ScriptedExperts? _experts;

    public void Dispose() => _model.Dispose();

    [Theory]
    [InlineData(1, RowStatus.Unavailable, 2)]
    [InlineData(2, RowStatus.Unavailable, int.MaxValue)]
    [InlineData(3, RowStatus.Failed, 2)]
    [InlineData(2, RowStatus.Pending, int.MaxValue)]
    public void A_row_fails_without_the_others(int layer, RowStatus status, int microBatchRows)
    {
        float[][] expected = Alone();
        using TrunkHarness harness = Open(microBatchRows);
        TestSequence[] sequences = [new(), new(), new()];

        // Row 8 of 20 is the failing sequence's third.
        Spoil(layer, 8, status);
        harness.Fill((sequences[0], Before), (sequences[1], Failing), (sequences[2], After));
        harness.Trunk.Run(harness.Batch, harness.AllLayers, harness.Result);

        RowStatus reported = status == RowStatus.Pending ? RowStatus.Failed : status;
        Assert.Equal([RowStatus.Done, reported, RowStatus.Done], harness.Result.Statuses);
        Assert.StartsWith($"Layer {layer}: ", harness.Result.Problem);
        float[][] logits = harness.TakeLogits();
        Compare.SameBits(expected[..6], logits[..6], "the sequence before");
        Compare.SameBits(expected[15..], logits[15..], "the sequence after");

        // Later layers are not asked for its rows.
        for (int later = layer + 2; later < _model.Config.LayerCount; later++)
            Assert.Equal(11, _experts!.Asked[later].Count);

        // The others go on; the failed one is replayed beside them.
        _experts!.Answered = null;
        sequences[0].Length += Before.Length;
        sequences[2].Length += After.Length;
        float[][] replayed = harness.Step((sequences[0], [1]), (sequences[1], Failing), (sequences[2], [2]));
        Assert.Null(harness.Result.Problem);
        Compare.SameBits(expected[6..15], replayed[1..10], "the replay");
        Compare.SameBits(AloneNext(Before, 1), [replayed[0]], "the sequence before, one on");
        Compare.SameBits(AloneNext(After, 2), [replayed[10]], "the sequence after, one on");
    }

    [Fact]
    public void The_worst_status_of_a_sequence_and_its_words_hold()
    {
        using TrunkHarness harness = Open(microBatchRows: 2);
        Spoil(1, 8, RowStatus.Unavailable, then: batch =>
        {
            // The second half of the same sequence, in the micro-batch after.
            batch.Statuses.Span[0] = RowStatus.Failed;
            batch.Problem = "a worse one";
        });

        harness.Fill((new TestSequence(), Before), (new TestSequence(), Failing), (new TestSequence(), After));
        harness.Trunk.Run(harness.Batch, harness.AllLayers, harness.Result);

        Assert.Equal([RowStatus.Done, RowStatus.Failed, RowStatus.Done], harness.Result.Statuses);
        Assert.Equal("Layer 1: a worse one", harness.Result.Problem);
    }

    [Fact]
    public void A_sequence_that_left_stays_out_of_later_ranges()
    {
        float[][] expected = Alone();
        using TrunkHarness harness = Open(int.MaxValue);
        Spoil(1, 8, RowStatus.Unavailable);
        harness.Fill((new TestSequence(), Before), (new TestSequence(), Failing), (new TestSequence(), After));

        harness.Trunk.Run(harness.Batch, new LayerRange(0, 2), harness.Result);
        Assert.Equal(RowStatus.Unavailable, harness.Result.Statuses[1]);
        harness.Trunk.Run(harness.Batch, new LayerRange(2, harness.Trunk.LayerCount), harness.Result);

        Assert.Equal([RowStatus.Done, RowStatus.Unavailable, RowStatus.Done], harness.Result.Statuses);
        Assert.Equal("Layer 1: gone", harness.Result.Problem);
        Assert.Equal(11, _experts!.Asked[2].Count);
        Compare.SameBits(expected[15..], harness.TakeLogits()[15..], "the sequence after");

        harness.Fill((new TestSequence(), After));
        harness.Trunk.Run(harness.Batch, harness.AllLayers, harness.Result);
        Assert.Equal([RowStatus.Done], harness.Result.Statuses);
    }

    [Fact]
    public void When_all_sequences_left_nobody_is_asked_any_more()
    {
        using TrunkHarness harness = Open(int.MaxValue);
        Spoil(1, 0, RowStatus.Unavailable);

        harness.Fill((new TestSequence(), Failing));
        harness.Trunk.Run(harness.Batch, harness.AllLayers, harness.Result);

        Assert.Equal(["submit 1 9", "collect 1 9"], _experts!.Events);
    }

    private float[][] Alone()
    {
        using TrunkHarness harness = new(_model);
        return [.. harness.Step((new TestSequence(), Before)), .. harness.Step((new TestSequence(), Failing)), .. harness.Step((new TestSequence(), After))];
    }

    private float[][] AloneNext(int[] tokens, int next)
    {
        using TrunkHarness harness = new(_model);
        return harness.Step((new TestSequence(), [.. tokens, next]))[^1..];
    }

    private TrunkHarness Open(int microBatchRows) =>
        new(_model, microBatchRows: microBatchRows, wrap: inner => _experts = new ScriptedExperts(inner));

    /// <summary>Spoils a row of the first micro-batch of a layer, once; the next batch is handed to <paramref name="then"/>.</summary>
    private void Spoil(int layer, int row, RowStatus status, Action<ExpertBatch>? then = null) =>
        _experts!.Answered = batch =>
        {
            if (batch.Layer != layer)
                return;
            batch.Statuses.Span[row] = status;
            batch.Problem = "gone";
            batch.Outputs.Span.Slice(row * batch.ExpertsPerToken * batch.HiddenSize, batch.ExpertsPerToken * batch.HiddenSize).Fill(0x7FC0);
            _experts.Answered = then is null ? null : next =>
            {
                then(next);
                _experts.Answered = null;
            };
        };
}
