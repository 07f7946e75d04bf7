using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk.Rows;

namespace K2Cluster.Trunk.Steps;

/// <summary>
/// rows = rows + (Σ weight × expert(row) + shared(row)), in FP32 and in the token's own top-k order. A work's row is one of
/// the expert batch.
/// </summary>
internal readonly unsafe struct CombineWork(StepRows step, MicroBatch microBatch, float[] weights, RowBuffer shared) : IRowWork
{
    public void Row<TLanes>(int row)
        where TLanes : struct, ILanes<TLanes>
    {
        int stepRow = microBatch.ExpertRows[row];
        if (!step.IsLive(stepRow))
            return;

        ExpertBatch batch = microBatch.Experts;
        int size = batch.HiddenSize;
        int experts = batch.ExpertsPerToken;
        float* hidden = step.Hidden.Row(stepRow);
        float* addend = shared.Row(stepRow);
        fixed (ushort* outputs = batch.Outputs.Span.Slice(row * experts * size, experts * size))
        fixed (float* weight = weights.AsSpan(stepRow * experts, experts))
        {
            int d = 0;
            for (; d + LaneMath.LaneCount <= size; d += LaneMath.LaneCount)
            {
                TLanes sum = TLanes.Zero;
                for (int k = 0; k < experts; k++)
                    sum = TLanes.FusedMultiplyAdd(TLanes.LoadBf16(outputs + ((nint)k * size) + d), TLanes.Broadcast(weight[k]), sum);
                sum = TLanes.Add(sum, TLanes.Load(addend + d));
                TLanes.Store(TLanes.Add(TLanes.Load(hidden + d), sum), hidden + d);
            }

            for (; d < size; d++)
            {
                float sum = 0;
                for (int k = 0; k < experts; k++)
                    sum = MathF.FusedMultiplyAdd(Bf16.ToSingle(outputs[((nint)k * size) + d]), weight[k], sum);
                hidden[d] += sum + addend[d];
            }
        }
    }
}
