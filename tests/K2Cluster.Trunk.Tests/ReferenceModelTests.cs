using System.Text.Json.Nodes;
using K2Cluster.Checkpoint;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

/// <summary>Families and shapes that no reference checkpoint has, against FP64.</summary>
public sealed class ReferenceModelTests
{
    // Random networks amplify roundings more than the reference checkpoints do; a wrong term shows as 1e-1 and more.
    private const double Tolerance = 1e-2;

    [Theory]
    [InlineData("Moonlight", 150)]
    [InlineData("K25", 150)]
    [InlineData("Groups", 150)]
    [InlineData("OddSizes", 150)]
    [InlineData("TiedEmbeddings", 70)]
    [InlineData("EverySecondLayer", 70)]
    public void Every_family_gives_what_FP64_gives(string family, int positions) => Check(ShapeOf(family), family, positions);

    /// <summary>2,100 positions: three KV splits, 33 tiles; five heads: a group of four and one alone.</summary>
    [Fact]
    public void A_text_longer_than_two_splits_gives_what_FP64_gives() =>
        Check(CheckpointShape.K2Thinking with { Layers = 2, Experts = 4, Heads = 5, Vocabulary = 128 }, "K2Thinking", 2100);

    private static void Check(CheckpointShape shape, string family, int positions)
    {
        using TemporaryDirectory directory = new();
        CheckpointWriter.Write(directory.Path, shape);
        EditConfig(directory.Path, family);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        ScriptedExperts? experts = null;
        using TrunkHarness harness = new(
            model, threads: 2, maxRows: positions, pages: (positions / 64) + 1, wrap: inner => experts = new ScriptedExperts(inner));
        int[] tokens = [.. BitIdentityTests.Tokens(5, positions).Select(token => token % shape.Vocabulary)];
        ReferenceModel reference = new(model);

        harness.Fill((new TestSequence(), tokens));
        harness.Trunk.Run(harness.Batch, new LayerRange(0, 0), harness.Result);
        double[][] rows = reference.Embed(tokens);
        for (int layer = 0; layer < shape.Layers; layer++)
        {
            harness.Trunk.Run(harness.Batch, new LayerRange(layer, layer + 1), harness.Result);
            rows = reference.Layer(rows, layer, experts!.Asked.TryGetValue(layer, out List<int[]>? asked) ? [.. asked] : null);
            float[] actual = new float[positions * shape.Hidden];
            harness.Trunk.ReadRows(actual);
            double error = Compare.RelativeError(actual, rows.SelectMany(row => row).Select(value => (float)value));
            Assert.True(error <= Tolerance, $"{family}: after layer {layer} the relative error is {error:E2}");
        }

        // The last positions, where the most is joined.
        float[][] logits = harness.TakeLogits()[^16..];
        double logitError = Compare.RelativeError(logits.SelectMany(row => row), reference.Logits(rows[^16..]).SelectMany(row => row).Select(value => (float)value));
        Assert.True(logitError <= Tolerance, $"{family}: the logits' relative error is {logitError:E2}");
    }

    private static CheckpointShape ShapeOf(string family) => family switch
    {
        "Moonlight" => CheckpointShape.Moonlight,
        "K25" => CheckpointShape.K25,
        "Groups" => CheckpointShape.K2Thinking with { Experts = 16, ExpertsPerToken = 4, Groups = 4, TopKGroups = 2 },
        // Nothing a multiple of 16, five heads, one query matrix.
        "OddSizes" => CheckpointShape.Moonlight with
        {
            Hidden = 70,
            KvLoraRank = 23,
            Nope = 13,
            Rope = 10,
            Value = 9,
            Heads = 5,
            Intermediate = 51,
            MoeIntermediate = 21,
            Experts = 7,
            ExpertsPerToken = 3,
            SharedExperts = 3,
            Vocabulary = 131,
        },
        "EverySecondLayer" => CheckpointShape.K2Thinking with { MoeFrequency = 2 },
        _ => CheckpointShape.K2Thinking,
    };

    private static void EditConfig(string directory, string family)
    {
        string path = Path.Combine(directory, "config.json");
        JsonObject config = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        if (family == "TiedEmbeddings")
            config["tie_word_embeddings"] = true;
        File.WriteAllText(path, config.ToJsonString());
    }
}
