using System.Security.Cryptography;
using System.Text;
using K2Cluster.Checkpoint.Synthetic;
using K2Cluster.Tests;

namespace K2Cluster.Checkpoint.Tests;

public sealed class SyntheticCheckpointTests
{
    /// <summary>Of tiny with seed 7, whatever machine writes it: see <see cref="HashOf"/>.</summary>
    private const string TinyHash = "0ffac1bbf413e33a675cc5acf25a3fb9442626f1c2aa89e54500df68569aa156";

    private static readonly SyntheticShape Tiny = SyntheticShape.Presets["tiny"];

    public static TheoryData<string, SyntheticShape> Shapes => new()
    {
        { "K2 Thinking", Tiny },
        { "Moonlight", Tiny with { QueryRank = null, Int4Experts = false, SharedExperts = 2, Context = 4096, ExpertIntermediate = 44 } },
        { "no dense layer", Tiny with { DenseLayers = 0, Layers = 1 } },
        { "dense only", Tiny with { DenseLayers = 2, Layers = 2 } },
        { "odd sizes", Tiny with { Int4Experts = false, Hidden = 70, KvRank = 23, NopeDim = 13, RopeDim = 10, ValueDim = 9, Heads = 5, Experts = 7, ExpertsPerToken = 3, ExpertIntermediate = 21, Vocabulary = 131 } },
        { "pieces", Tiny with { Layers = 2, Vocabulary = 20001, Hidden = 96 } },
    };

    [Theory]
    [MemberData(nameof(Shapes), DisableDiscoveryEnumeration = true)]
    public void What_is_written_opens_and_has_every_tensor(string name, SyntheticShape shape)
    {
        using TemporaryDirectory directory = new();
        SyntheticCheckpoint checkpoint = Write(directory.Path, shape);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Checkpoints.CheckAll(model);

        Assert.False(string.IsNullOrEmpty(name));
        Assert.Equal(shape.Layers + 1, model.WeightFiles.Count);
        Assert.Equal(checkpoint.TotalBytes, model.WeightFiles.Sum(file => new FileInfo(file).Length));
        Assert.Equal(shape.Int4Experts, model.Config.Quantization is not null);
        Assert.Equal(shape.Context > 4096, model.Config.RopeScaling is not null);
        Assert.Equal([Math.Max(shape.Vocabulary - 254, 0)], model.Generation.EndTokens);
        Assert.False(model.HasTokenizer);
    }

    [Fact]
    public void The_known_shapes_are_those_of_the_models_they_are_named_for()
    {
        ModelConfig k2 = new SyntheticCheckpoint(SyntheticShape.Presets["k2"], 1).Config;
        Assert.Equal((7168, 61, 384, 8, 2048, 163840), (k2.HiddenSize, k2.LayerCount, k2.RoutedExperts, k2.ExpertsPerToken, k2.MoeIntermediateSize, k2.VocabularySize));
        Assert.Equal((64.0, 1.0), (k2.RopeScaling!.Factor, k2.RopeScaling.BetaFast));

        SyntheticCheckpoint bench = new(SyntheticShape.Presets["bench-4b"], 1);
        Assert.Equal((2048, 12, 1, 6144, 64, 8, 768), (bench.Config.HiddenSize, bench.Config.LayerCount, bench.Config.FirstDenseLayers, bench.Config.IntermediateSize, bench.Config.RoutedExperts, bench.Config.ExpertsPerToken, bench.Config.MoeIntermediateSize));
        Assert.Equal((1, 16, 768, 512, 128, 64, 128, 32768), (bench.Config.SharedExperts, bench.Config.HeadCount, bench.Config.QueryLoraRank, bench.Config.KvLoraRank, bench.Config.QkNopeHeadDim, bench.Config.QkRopeHeadDim, bench.Config.ValueHeadDim, bench.Config.VocabularySize));
        Assert.InRange(bench.TotalBytes, 2_590_000_000, 2_600_000_000);
    }

    [Fact]
    public void The_same_seed_gives_the_same_bytes_on_every_machine()
    {
        using TemporaryDirectory first = new();
        using TemporaryDirectory second = new();
        using TemporaryDirectory other = new();
        Write(first.Path, Tiny, seed: 7);
        Write(second.Path, Tiny, seed: 7);
        Write(other.Path, Tiny, seed: 8);

        Assert.Equal(TinyHash, HashOf(first.Path));
        Assert.Equal(TinyHash, HashOf(second.Path));
        Assert.NotEqual(TinyHash, HashOf(other.Path));
    }

    [Fact]
    public void The_source_without_files_gives_the_bytes_of_the_files_in_any_pieces()
    {
        using TemporaryDirectory directory = new();
        SyntheticCheckpoint checkpoint = Write(directory.Path, Tiny);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        using ITensorSource source = checkpoint.CreateSource();
        Random random = new(1);

        foreach (TensorInfo tensor in model.Tensors.Tensors)
        {
            byte[] expected = new byte[tensor.ByteLength];
            model.Tensors.Read(tensor, 0, expected);
            Assert.True(source.TryGet(tensor.Name, out TensorInfo? found));
            byte[] actual = new byte[tensor.ByteLength];
            for (int start = 0, length; start < actual.Length; start += length)
            {
                length = Math.Min(2 * random.Next(1, 40), actual.Length - start);
                source.Read(found, start, actual.AsSpan(start, length));
            }

            Assert.Equal(expected, actual);
        }
    }

    [Fact]
    public void Weights_have_the_spread_that_keeps_activations_in_range()
    {
        using TemporaryDirectory directory = new();
        Write(directory.Path, Tiny with { Hidden = 256, Vocabulary = 4096 });
        using ModelDirectory model = ModelDirectory.Open(directory.Path);

        Check(model.Catalog.Embedding, 0, 1);
        Check(model.Catalog.Head, 0, 2 / Math.Sqrt(256));
        Check(model.Catalog.Layer(0, "mlp.gate_proj.weight"), 0, 1 / Math.Sqrt(256));
        Check(model.Catalog.Layer(0, "mlp.down_proj.weight"), 0, 1 / Math.Sqrt(96 * 2 * 3));

        void Check(string name, double mean, double deviation)
        {
            Assert.True(model.Tensors.TryGet(name, out TensorInfo? tensor));
            byte[] bytes = new byte[tensor.ByteLength];
            model.Tensors.Read(tensor, 0, bytes);
            double[] values = [.. bytes.Chunk(2).Select(pair => (double)BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(pair) << 16))];
            double actualMean = values.Average();
            Assert.Equal(mean, actualMean, deviation * 0.03);
            Assert.Equal(deviation, Math.Sqrt(values.Average(value => (value - actualMean) * (value - actualMean))), deviation * 0.03);
        }
    }

    [Fact]
    public void Int4_weights_are_symmetric_and_never_below_minus_seven()
    {
        using TemporaryDirectory directory = new();
        Write(directory.Path, Tiny);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        Assert.True(model.Tensors.TryGet(model.Catalog.Expert(1, 0, "up_proj", "weight_packed"), out TensorInfo? tensor));
        byte[] bytes = new byte[tensor.ByteLength];
        model.Tensors.Read(tensor, 0, bytes);

        int[] weights = [.. bytes.SelectMany(pair => new[] { (pair & 15) - 8, (pair >> 4) - 8 })];

        Assert.Equal(-7, weights.Min());
        Assert.Equal(7, weights.Max());
        Assert.Equal(15, weights.Distinct().Count());
        Assert.InRange(weights.Average(), -0.3, 0.3);
    }

    [Fact]
    public void A_directory_that_is_not_empty_is_refused_and_left_as_it_is()
    {
        using TemporaryDirectory directory = new();
        File.WriteAllText(Path.Combine(directory.Path, "letter.txt"), "mine");

        CheckpointException failure = Assert.Throws<CheckpointException>(() => Write(directory.Path, Tiny));

        Assert.Contains("--force", failure.Message);
        Assert.Equal(["letter.txt"], Directory.EnumerateFileSystemEntries(directory.Path).Select(Path.GetFileName));
    }

    [Fact]
    public void A_replaced_checkpoint_leaves_nothing_of_its_own_and_other_files_stay()
    {
        using TemporaryDirectory directory = new();
        Write(directory.Path, Tiny with { Layers = 6 });
        File.WriteAllText(Path.Combine(directory.Path, "letter.txt"), "mine");
        File.WriteAllText(Path.Combine(directory.Path, "tiktoken.model"), "not of the new one");

        Write(directory.Path, Tiny, replace: true);

        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        Checkpoints.CheckAll(model);
        Assert.False(model.HasTokenizer);
        Assert.Equal(4, Directory.EnumerateFiles(directory.Path, "*.safetensors").Count());
        Assert.Equal("mine", File.ReadAllText(Path.Combine(directory.Path, "letter.txt")));
    }

    [Fact]
    public void One_that_is_interrupted_leaves_nothing()
    {
        using TemporaryDirectory directory = new();
        string target = Path.Combine(directory.Path, "new", "model");
        using CancellationTokenSource interrupt = new();

        Assert.ThrowsAny<OperationCanceledException>(() =>
            new SyntheticCheckpoint(Tiny, 1).Write(target, replace: false, [], _ => interrupt.Cancel(), interrupt.Token));

        Assert.False(Directory.Exists(target));
    }

    [Fact]
    public void What_a_killed_one_left_does_not_open_and_is_cleared_by_the_next()
    {
        using TemporaryDirectory directory = new();
        string partial = Path.Combine(directory.Path, ".synth-partial");
        Directory.CreateDirectory(partial);
        File.WriteAllText(Path.Combine(partial, "lock"), "");
        File.WriteAllText(Path.Combine(partial, "model-00001-of-000004.safetensors"), "half");
        Assert.Throws<CheckpointException>(() => ModelDirectory.Open(directory.Path));

        Write(directory.Path, Tiny);

        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        Checkpoints.CheckAll(model);
        Assert.False(Directory.Exists(partial));
    }

    [Fact]
    public void Two_at_once_in_one_directory_do_not_mix()
    {
        using TemporaryDirectory directory = new();
        CheckpointException? second = null;

        new SyntheticCheckpoint(Tiny, 1).Write(
            directory.Path, replace: false, [], _ => Interlocked.CompareExchange(ref second, Record.Exception(() => Write(directory.Path, Tiny)) as CheckpointException, null), default);

        Assert.Contains("cannot be written", second!.Message);
        using ModelDirectory model = ModelDirectory.Open(directory.Path);
        Checkpoints.CheckAll(model);
    }

    [Fact]
    public void A_disk_without_room_is_said_before_anything_is_written()
    {
        using TemporaryDirectory directory = new();
        // 6 TB in few tensors.
        SyntheticShape large = Tiny with { Layers = 1024, DenseLayers = 1024, Hidden = 4096, Intermediate = 1 << 18 };

        CheckpointException failure = Assert.Throws<CheckpointException>(() => Write(directory.Path, large));

        Assert.Contains("free", failure.Message);
        Assert.Empty(Directory.EnumerateFileSystemEntries(directory.Path));
    }

    [Fact]
    public void A_file_where_the_directory_should_be_is_an_error_with_its_name()
    {
        using TemporaryDirectory directory = new();
        string file = Path.Combine(directory.Path, "file");
        File.WriteAllText(file, "");

        Assert.Contains(file, Assert.Throws<CheckpointException>(() => Write(file, Tiny)).Message);
        Assert.Contains(file, Assert.Throws<CheckpointException>(() => Write(Path.Combine(file, "below"), Tiny)).Message);
    }

    [Theory]
    [InlineData("hidden_size")]
    [InlineData("moe_intermediate_size")]
    [InlineData("first_k_dense_replace")]
    [InlineData("num_experts_per_tok")]
    [InlineData("qk_rope_head_dim")]
    [InlineData("vocab_size")]
    [InlineData("num_hidden_layers")]
    [InlineData("n_routed_experts")]
    public void A_shape_that_no_model_can_have_is_refused_by_the_name_of_its_key(string key)
    {
        SyntheticShape shape = key switch
        {
            "hidden_size" => Tiny with { Hidden = 65 },
            "moe_intermediate_size" => Tiny with { ExpertIntermediate = 33 },
            "first_k_dense_replace" => Tiny with { DenseLayers = 4 },
            "num_experts_per_tok" => Tiny with { ExpertsPerToken = 9 },
            "qk_rope_head_dim" => Tiny with { RopeDim = 7 },
            "vocab_size" => Tiny with { Vocabulary = 1 << 22, Hidden = 1 << 16 },
            "n_routed_experts" => Tiny with { Layers = 1024, Experts = 2048 },
            _ => Tiny with { Layers = 0 },
        };

        Assert.Contains(key, Assert.Throws<CheckpointException>(() => new SyntheticCheckpoint(shape, 1)).Message);
    }

    private static SyntheticCheckpoint Write(string directory, SyntheticShape shape, long seed = 1, bool replace = false)
    {
        SyntheticCheckpoint checkpoint = new(shape, seed);
        checkpoint.Write(directory, replace, [], _ => { }, default);
        return checkpoint;
    }

    /// <summary>SHA-256 of the names and contents of a directory's files, in the order of their names.</summary>
    private static string HashOf(string directory)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string file in Directory.EnumerateFiles(directory).Order(StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(Path.GetFileName(file)));
            hash.AppendData(File.ReadAllBytes(file));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
