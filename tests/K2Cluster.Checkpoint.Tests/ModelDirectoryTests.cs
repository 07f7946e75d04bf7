using K2Cluster.Tests;

namespace K2Cluster.Checkpoint.Tests;

public sealed class ModelDirectoryTests
{
    [Theory]
    [InlineData("tests/fixtures/tiny-k2")]
    [InlineData("tests/fixtures/tiny-k2-ramp")]
    [InlineData("models/k2-nano")]
    public void A_published_layout_opens_and_every_tensor_checks(string path)
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Path(path));

        Checkpoints.CheckAll(model);

        Assert.NotEmpty(model.Tensors.Tensors);
        Assert.All(model.Tensors.Tensors, tensor => Assert.NotEqual(TensorType.Other, tensor.Type));
    }

    [Fact]
    public void Every_value_of_the_configuration_is_the_files()
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));

        ModelConfig config = model.Config;
        Assert.Equal(
            new ModelConfig
            {
                ModelType = "kimi_k2",
                TensorPrefix = "",
                HiddenSize = 128,
                LayerCount = 4,
                FirstDenseLayers = 1,
                MoeLayerFrequency = 1,
                RoutedExperts = 16,
                ExpertsPerToken = 4,
                SharedExperts = 1,
                MoeIntermediateSize = 64,
                IntermediateSize = 256,
                QueryLoraRank = 64,
                KvLoraRank = 64,
                QkNopeHeadDim = 32,
                QkRopeHeadDim = 16,
                ValueHeadDim = 32,
                HeadCount = 4,
                RopeTheta = 50000,
                RopeScaling = new RopeScaling(64, 128, 1, 1, 1, 1),
                MaxPositions = 8192,
                RmsNormEpsilon = 1e-5,
                VocabularySize = 1024,
                Groups = 1,
                TopKGroups = 1,
                NormaliseTopK = true,
                RoutedScalingFactor = 2.827,
                TieEmbeddings = false,
                Quantization = config.Quantization,
            },
            config);
        Assert.NotNull(config.Quantization);
        Assert.Equal(48, config.QkHeadDim);
        Assert.Equal(4 * (64 + 16) * 2, config.KvBytesPerToken);
        Assert.Equal([false, true, true, true], Enumerable.Range(0, 4).Select(config.IsMoeLayer));
        Assert.Equal([770], model.Generation.EndTokens);
        Assert.Equal(8192, model.Generation.MaxLength);
        Assert.Equal(1.0, model.Generation.Temperature);
        Assert.Null(model.Generation.TopP);
    }

    [Fact]
    public void The_ramps_beta_fast_is_read_and_not_assumed()
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Fixture("tiny-k2-ramp"));

        Assert.Equal(32, model.Config.RopeScaling!.BetaFast);
        Assert.Equal(1, model.Config.RopeScaling.BetaSlow);
        Assert.Equal(1e-6, model.Config.RmsNormEpsilon);
    }
}
