using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk.Routing;
using K2Cluster.Trunk.Rows;
using K2Cluster.Trunk.Weights;

namespace K2Cluster.Trunk.Steps;

/// <summary>
/// The second half of a layer: a dense MLP, or routed experts, which are asked elsewhere, beside the shared ones, which are
/// computed here meanwhile.
/// </summary>
internal sealed unsafe class MlpLayer : IDisposable
{
    private readonly ModelConfig _config;
    private readonly CpuCompute _compute;
    private readonly IExperts _experts;
    private readonly Router _router;
    private readonly MlpBlock _mlp;
    private readonly RowBuffer _normed;
    private readonly RowBuffer _output;
    private readonly int[] _expertIds;
    private readonly float[] _expertWeights;

    public MlpLayer(ModelConfig config, CpuCompute compute, IExperts experts, int maxRows)
    {
        _config = config;
        _compute = compute;
        _experts = experts;
        _router = new Router(config, compute);
        _mlp = new MlpBlock(compute, Math.Max(config.IntermediateSize, config.SharedExperts * config.MoeIntermediateSize));
        _normed = new RowBuffer(maxRows, config.HiddenSize);
        _output = new RowBuffer(maxRows, config.HiddenSize);
        _expertIds = new int[maxRows * config.ExpertsPerToken];
        _expertWeights = new float[maxRows * config.ExpertsPerToken];
    }

    /// <summary>A dense layer is done on return; one with experts is in flight until <see cref="Finish"/>.</summary>
    public void Start(LayerWeights weights, int layer, StepRows step, MicroBatch microBatch)
    {
        int hidden = _config.HiddenSize;
        for (int first = microBatch.FirstRow; first < microBatch.EndRow; first += RowBlock.Rows)
        {
            int count = Math.Min(RowBlock.Rows, microBatch.EndRow - first);
            NormWork norm = new(step.Hidden.Row(first), hidden, weights.MlpNorm, (float)_config.RmsNormEpsilon, _normed.Row(first), hidden);
            _compute.RunRows(norm, count, hidden);
            if (weights.Router is not null)
                _router.Route(weights.Router, _normed, first, count, _expertIds, _expertWeights);
        }

        if (weights.Router is not null)
            Submit(layer, step, microBatch);
        step.Times?.Mark(StepPhase.Router);
        for (int first = microBatch.FirstRow; first < microBatch.EndRow; first += RowBlock.Rows)
            _mlp.Run(weights.Mlp, _normed, _output, first, Math.Min(RowBlock.Rows, microBatch.EndRow - first));
        if (weights.Router is null)
            _compute.RunRows(new AddWork(_output.Row(microBatch.FirstRow), step.Hidden.Row(microBatch.FirstRow), hidden), microBatch.Count, hidden);
        step.Times?.Mark(StepPhase.Mlp);
    }

    /// <summary>Waits for the micro-batch's experts, if any are in flight, and adds them to the rows.</summary>
    public void Finish(StepRows step, MicroBatch microBatch, TrunkResult result)
    {
        if (microBatch.Ticket is not { } ticket)
            return;

        _experts.Collect(ticket);
        microBatch.Ticket = null;
        ReadOnlySpan<RowStatus> statuses = microBatch.Experts.Statuses.Span;
        for (int row = 0; row < statuses.Length; row++)
        {
            if (statuses[row] == RowStatus.Done)
                continue;
            int sequence = step.Sequences[microBatch.ExpertRows[row]];
            // Pending after the collect: the callee broke its word, and would again.
            RowStatus status = statuses[row] == RowStatus.Unavailable ? RowStatus.Unavailable : RowStatus.Failed;
            result.Report(sequence, status, $"Layer {microBatch.Experts.Layer}: {microBatch.Experts.Problem ?? $"a row came back {statuses[row]} without a reason"}");
            step.Leave(sequence);
        }

        _compute.RunRows(new CombineWork(step, microBatch, _expertWeights, _output), microBatch.Experts.Rows, _config.HiddenSize * _config.ExpertsPerToken);
        step.Times?.Mark(StepPhase.Experts);
    }

    public void Dispose()
    {
        _router.Dispose();
        _mlp.Dispose();
        _normed.Dispose();
        _output.Dispose();
    }

    private void Submit(int layer, StepRows step, MicroBatch microBatch)
    {
        int rows = 0;
        for (int row = microBatch.FirstRow; row < microBatch.EndRow; row++)
        {
            if (step.IsLive(row))
                microBatch.ExpertRows[rows++] = row;
        }

        if (rows == 0)
            return;
        microBatch.Experts.Reset(layer, rows);
        _compute.RunRows(new FillWork(microBatch, _normed, _expertIds), rows, _config.HiddenSize);
        microBatch.Ticket = _experts.Submit(microBatch.Experts);
    }

    /// <summary>Hidden rows are rounded to BF16 here always, wherever the experts are.</summary>
    private readonly struct FillWork(MicroBatch microBatch, RowBuffer normed, int[] expertIds) : IRowWork
    {
        public void Row<TLanes>(int row)
            where TLanes : struct, ILanes<TLanes>
        {
            ExpertBatch batch = microBatch.Experts;
            int stepRow = microBatch.ExpertRows[row];
            int experts = batch.ExpertsPerToken;
            Bf16.Round(normed.Span(stepRow, 1), batch.Hidden.Span.Slice(row * batch.HiddenSize, batch.HiddenSize));
            expertIds.AsSpan(stepRow * experts, experts).CopyTo(batch.ExpertIds.Span[(row * experts)..]);
        }
    }
}
