using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk.Rows;
using K2Cluster.Trunk.Weights;

namespace K2Cluster.Trunk.Routing;

/// <summary>
/// Chooses each row's experts (noaux_tc): sigmoid scores in FP32; experts are chosen by score + bias, among the best groups
/// where there are groups, and weighed by score alone. Ties go to the lowest index.
/// </summary>
internal sealed unsafe class Router(ModelConfig config, CpuCompute compute) : IDisposable
{
    private readonly RowBuffer _scores = new(RowBlock.Rows, config.RoutedExperts);
    private readonly RowBuffer _choices = new(RowBlock.Rows, config.RoutedExperts);

    /// <summary>Routes the rows [first, first + count) of <paramref name="input"/>, at most a block.</summary>
    /// <param name="weights">The layer's router.</param>
    /// <param name="input">Normed rows in FP32.</param>
    /// <param name="first">First row.</param>
    /// <param name="count">Rows.</param>
    /// <param name="ids">[rows of the input, top-k]: experts by falling choice score, set for the rows routed.</param>
    /// <param name="expertWeights">The same shape: what each expert's output is multiplied by.</param>
    public void Route(RouterWeights weights, RowBuffer input, int first, int count, int[] ids, float[] expertWeights)
    {
        weights.Gate.Multiply(compute, input.Span(first, count), input.Width, _scores.Span(0, count), _scores.Width, count);
        ChoiceWork work = new(config, weights.Bias, _scores, _choices, ids, expertWeights, first);
        compute.RunRows(work, count, config.RoutedExperts * config.ExpertsPerToken);
    }

    public void Dispose()
    {
        _scores.Dispose();
        _choices.Dispose();
    }

    private readonly struct ChoiceWork(
        ModelConfig config, float[] bias, RowBuffer scores, RowBuffer choices, int[] ids, float[] expertWeights, int first) : IRowWork
    {
        public void Row<TLanes>(int row)
            where TLanes : struct, ILanes<TLanes>
        {
            Span<float> score = scores.Span(row, 1);
            Span<float> choice = choices.Span(row, 1);
            VectorMath.Sigmoid<TLanes>(score, score);
            for (int expert = 0; expert < choice.Length; expert++)
                choice[expert] = score[expert] + bias[expert];
            int at = (first + row) * config.ExpertsPerToken;
            ExpertChoice.Choose(config, score, choice, ids.AsSpan(at, config.ExpertsPerToken), expertWeights.AsSpan(at, config.ExpertsPerToken));
        }
    }
}
