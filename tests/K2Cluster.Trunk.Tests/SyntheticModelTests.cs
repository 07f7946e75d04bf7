using K2Cluster.Checkpoint;
using K2Cluster.Checkpoint.Synthetic;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

/// <summary>Made-up checkpoints are models that the trunk runs: what it gives is finite, and of one size at any depth.</summary>
public sealed class SyntheticModelTests
{
    private static readonly SyntheticShape Tiny = SyntheticShape.Presets["tiny"];

    [Theory]
    [InlineData(3, true)]
    [InlineData(61, true)]
    [InlineData(27, false)]
    public void Logits_are_of_one_size_at_any_depth(int layers, bool int4)
    {
        using TemporaryDirectory directory = new();
        SyntheticShape shape = Tiny with { Layers = layers, Int4Experts = int4, QueryRank = int4 ? 32 : null };
        new SyntheticCheckpoint(shape, seed: 3).Write(directory.Path, replace: false, [], _ => { }, default);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        using TrunkHarness harness = new(model);

        float[][] logits = harness.Prefill(new TestSequence(), [.. BitIdentityTests.Tokens(5, 40).Select(token => token % shape.Vocabulary)], chunk: 16);

        double deviation = Math.Sqrt(logits.SelectMany(row => row).Average(value => (double)value * value));
        Assert.InRange(deviation, 1, 4);
        Assert.True(logits.Select(row => Array.IndexOf(row, row.Max())).Distinct().Count() > 10);
    }
}
