using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Matrices;
using K2Cluster.Trunk.Rows;
using K2Cluster.Trunk.Steps;
using K2Cluster.Trunk.Weights;

namespace K2Cluster.Trunk.Attention;

/// <summary>
/// Multi-head latent attention in the absorbed form, for every row alike: queries are taken to the latent space of the
/// cache, where all heads share one key and value per token. Works on blocks of rows, so that its buffers stay small.
/// </summary>
internal sealed unsafe class LatentAttention : IDisposable
{
    private readonly ModelConfig _config;
    private readonly CpuCompute _compute;
    private readonly KvMemory _memory;
    private readonly RowBuffer _normed;
    private readonly RowBuffer _down;
    private readonly RowBuffer _queries;
    private readonly int _kvWidth;
    private readonly RowBuffer _latentQueries;
    private readonly RowBuffer _latentOutputs;
    private readonly AttentionRows _attention;
    private readonly RowBuffer _values;
    private readonly RowBuffer _output;

    public LatentAttention(ModelConfig config, CpuCompute compute, KvMemory memory)
    {
        _config = config;
        _compute = compute;
        _memory = memory;
        _normed = new RowBuffer(RowBlock.Rows, config.HiddenSize);
        int queryWidth = config.HeadCount * config.QkHeadDim;
        _kvWidth = config.KvLoraRank + config.QkRopeHeadDim;
        _down = new RowBuffer(RowBlock.Rows, (config.QueryLoraRank ?? queryWidth) + _kvWidth);
        _queries = new RowBuffer(RowBlock.Rows, config.QueryLoraRank is null ? 0 : queryWidth);
        _latentQueries = new RowBuffer(RowBlock.Rows, config.HeadCount * memory.TokenWidth);
        _latentOutputs = new RowBuffer(RowBlock.Rows, config.HeadCount * memory.LatentWidth);
        _attention = new AttentionRows(config, compute, memory, _latentQueries, _latentOutputs);
        _values = new RowBuffer(RowBlock.Rows, config.HeadCount * config.ValueHeadDim);
        _output = new RowBuffer(RowBlock.Rows, config.HiddenSize);
    }

    /// <summary>rows = rows + attention(norm(rows)), and the rows' own latents into the cache.</summary>
    /// <param name="weights">The layer.</param>
    /// <param name="layer">From 0 at the memory's first layer.</param>
    /// <param name="step">The rows.</param>
    /// <param name="firstRow">First row of the block.</param>
    /// <param name="count">At most <see cref="RowBlock.Rows"/>.</param>
    public void Run(LayerWeights weights, int layer, StepRows step, int firstRow, int count)
    {
        AttentionWeights attention = weights.Attention;
        float* hidden = step.Hidden.Row(firstRow);
        int hiddenSize = _config.HiddenSize;
        float epsilon = (float)_config.RmsNormEpsilon;

        _compute.RunRows(new NormWork(hidden, hiddenSize, weights.InputNorm, epsilon, _normed.Row(0), hiddenSize), count, hiddenSize);
        attention.Down.Multiply(_compute, _normed, _down, count);
        float* queries = _down.Row(0);
        int queryStride = _down.Width;
        float* kv = queries + (_down.Width - _kvWidth);
        if (attention.QueryUp is not null)
        {
            _compute.RunRows(new NormWork(queries, queryStride, attention.QueryNorm!, epsilon, queries, queryStride), count, attention.QueryNorm!.Length);
            attention.QueryUp.Multiply(_compute, _down, _queries, count);
            queries = _queries.Row(0);
            queryStride = _queries.Width;
        }

        _compute.RunRows(new NormWork(kv, _down.Width, attention.KvNorm, epsilon, kv, _down.Width), count, _config.KvLoraRank);
        _compute.RunRows(new RotaryWork(_config, _memory, layer, step, firstRow, kv, _down.Width, queries, queryStride, _latentQueries), count, _config.HeadCount * _config.QkHeadDim);
        MultiplyHeads(attention.KeyUp, queries, _config.QkHeadDim, queryStride, _latentQueries.Row(0), _memory.TokenWidth, _latentQueries.Width, count);
        step.Times?.Mark(StepPhase.Projections);
        _attention.Run(layer, step, firstRow, count);
        step.Times?.Mark(StepPhase.Attention);
        MultiplyHeads(attention.ValueUp, _latentOutputs.Row(0), _memory.LatentWidth, _latentOutputs.Width, _values.Row(0), _config.ValueHeadDim, _values.Width, count);

        attention.Output.Multiply(_compute, _values, _output, count);
        _compute.RunRows(new AddWork(_output.Row(0), hidden, hiddenSize), count, hiddenSize);
        step.Times?.Mark(StepPhase.Projections);
    }

    public void Dispose()
    {
        _normed.Dispose();
        _down.Dispose();
        _queries.Dispose();
        _latentQueries.Dispose();
        _latentOutputs.Dispose();
        _attention.Dispose();
        _values.Dispose();
        _output.Dispose();
    }

    /// <summary>One product per head; the heads side by side on the threads.</summary>
    private void MultiplyHeads(
        Bf16Matrix[] matrices, float* input, int inputHeadStride, int inputStride, float* output, int outputHeadStride, int outputStride, int count)
    {
        const long SmallWork = 64 * 1024;
        bool isSmall = (long)matrices.Length * matrices[0].Rows * matrices[0].Columns * count < SmallWork;
        HeadWork work = new(_compute, matrices, input, inputHeadStride, inputStride, output, outputHeadStride, outputStride, count, isSmall ? 1 : matrices.Length);
        _compute.Run(work, work.Parts);
    }

    private readonly struct HeadWork(
        CpuCompute compute, Bf16Matrix[] matrices, float* input, int inputHeadStride, int inputStride, float* output, int outputHeadStride, int outputStride, int count, int parts) : ICpuWork
    {
        public int Parts => parts;

        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            for (int head = part; head < matrices.Length; head += parts)
            {
                Bf16Matrix matrix = matrices[head];
                ReadOnlySpan<float> from = new(input + ((nint)head * inputHeadStride), ((count - 1) * inputStride) + matrix.Columns);
                Span<float> to = new(output + ((nint)head * outputHeadStride), ((count - 1) * outputStride) + matrix.Rows);
                matrix.Multiply(compute, from, inputStride, to, outputStride, count);
            }
        }
    }
}
