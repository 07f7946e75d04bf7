using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk.Attention;
using K2Cluster.Trunk.Loading;
using K2Cluster.Trunk.Routing;
using K2Cluster.Trunk.Rows;
using K2Cluster.Trunk.Steps;
using K2Cluster.Trunk.Weights;

namespace K2Cluster.Trunk.Tests;

/// <summary>Each half of each layer alone, from the reference's rows before it: what fails first is what is wrong.</summary>
public sealed class LayerTests
{
    // Only the roundings of one half of a layer: BF16 of the cache or of the experts' rows.
    private const double Tolerance = 3e-3;

    [Theory]
    [InlineData("tiny-k2")]
    [InlineData("tiny-k2-ramp")]
    public void Each_half_of_each_layer_gives_the_references_rows(string name)
    {
        using Fixture fixture = new(name);
        ModelConfig config = fixture.Model.Config;
        using CpuCompute compute = new(1, CpuPaths.Best);
        using TrunkWeights weights = TrunkLoader.Load(config, fixture.Model.Tensors, new LayerRange(0, config.LayerCount), compute, null, default);
        using Stage stage = new(fixture, weights, compute);

        stage.Embed();
        stage.Expect("embedding", tolerance: 0);
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            stage.Attend(layer);
            stage.Expect($"layers.{layer}.after_attention", Tolerance);
            if (config.IsMoeLayer(layer))
                stage.ExpectChoice(layer);
            stage.RunMlp(layer);
            stage.Expect($"layers.{layer}.output", Tolerance);
        }

        stage.Norm();
        stage.Expect("final_norm", 1e-6);
    }

    private sealed class Stage : IDisposable
    {
        private readonly Fixture _fixture;
        private readonly ModelConfig _config;
        private readonly TrunkWeights _weights;
        private readonly CpuCompute _compute;
        private readonly KvMemory _memory;
        private readonly LatentAttention _attention;
        private readonly LocalExperts _experts;
        private readonly MlpLayer _mlp;
        private readonly StepRows _step;
        private readonly MicroBatch _microBatch;
        private readonly TrunkResult _result = new();
        private readonly int[] _prompt;

        public Stage(Fixture fixture, TrunkWeights weights, CpuCompute compute)
        {
            _fixture = fixture;
            _config = fixture.Model.Config;
            _weights = weights;
            _compute = compute;
            _prompt = fixture.Prompt;
            _memory = new KvMemory(_config, _config.LayerCount, 1);
            _attention = new LatentAttention(_config, compute, _memory);
            _experts = LocalExperts.Load(fixture.Model, compute, _prompt.Length);
            _mlp = new MlpLayer(_config, compute, _experts, _prompt.Length);
            _step = new StepRows(_config, _prompt.Length);
            _microBatch = new MicroBatch(_prompt.Length, _config.HiddenSize, _config.ExpertsPerToken);
            _microBatch.Set(0, _prompt.Length);

            TrunkBatch batch = new();
            batch.Tokens.AddRange(_prompt);
            batch.Positions.AddRange(Enumerable.Range(0, _prompt.Length));
            batch.Sequences.Add(new SequenceSlice(0, _prompt.Length, 0, 1));
            batch.PageTable.Add(0);
            _result.Reset(1, 0, 0);
            _step.Prepare(batch, _result);
        }

        private Span<float> Rows => _step.Hidden.Span(0, _prompt.Length);

        public void Embed()
        {
            for (int row = 0; row < _prompt.Length; row++)
                _weights.Embedding!.Lookup(_prompt[row], _step.Hidden.Span(row, 1));
        }

        public void Attend(int layer) => _attention.Run(_weights.Layers[layer], layer, _step, 0, _prompt.Length);

        public void RunMlp(int layer)
        {
            _mlp.Start(_weights.Layers[layer], layer, _step, _microBatch);
            _mlp.Finish(_step, _microBatch, _result);
            Assert.Equal(RowStatus.Done, _result.Statuses[0]);
        }

        public void Norm() => NormRows(_weights.FinalNorm!, _step.Hidden);

        /// <summary>Compares the rows, and goes on from the reference's.</summary>
        public void Expect(string name, double tolerance)
        {
            float[] expected = _fixture.Values(name);
            double error = Compare.RelativeError(Rows.ToArray(), expected);
            Assert.True(error <= tolerance, $"{name}: relative error {error:E2}");
            expected.CopyTo(Rows);
        }

        public void ExpectChoice(int layer)
        {
            using RowBuffer normed = new(_prompt.Length, _config.HiddenSize);
            Rows.CopyTo(normed.Span(0, _prompt.Length));
            NormRows(_weights.Layers[layer].MlpNorm, normed);
            int[] ids = new int[_prompt.Length * _config.ExpertsPerToken];
            float[] weights = new float[ids.Length];
            using Router router = new(_config, _compute);
            router.Route(_weights.Layers[layer].Router!, normed, 0, _prompt.Length, ids, weights);

            // The reference's order within a token is not stated: by id on both sides.
            int[] expectedIds = _fixture.Ids($"layers.{layer}.expert_ids");
            float[] expectedWeights = _fixture.Values($"layers.{layer}.expert_weights");
            for (int at = 0; at < ids.Length; at += _config.ExpertsPerToken)
            {
                Range row = at..(at + _config.ExpertsPerToken);
                (int Id, float Weight)[] actual = [.. ids[row].Zip(weights[row]).Order()];
                (int Id, float Weight)[] expected = [.. expectedIds[row].Zip(expectedWeights[row]).Order()];
                Assert.Equal(expected.Select(pair => pair.Id), actual.Select(pair => pair.Id));
                Assert.True(Compare.RelativeError(actual.Select(pair => pair.Weight), expected.Select(pair => pair.Weight)) <= 1e-5, $"layers.{layer}.expert_weights: row {at / _config.ExpertsPerToken}");
            }
        }

        public void Dispose()
        {
            _step.Dispose();
            _mlp.Dispose();
            _experts.Dispose();
            _attention.Dispose();
            _memory.Dispose();
        }

        private void NormRows(float[] weight, RowBuffer rows)
        {
            for (int row = 0; row < _prompt.Length; row++)
                VectorMath.RmsNorm(_compute.Path, rows.Span(row, 1), weight, (float)_config.RmsNormEpsilon, rows.Span(row, 1));
        }
    }
}
