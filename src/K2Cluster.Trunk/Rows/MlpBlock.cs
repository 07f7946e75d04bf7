using K2Cluster.Kernels.Compute;
using K2Cluster.Trunk.Weights;

namespace K2Cluster.Trunk.Rows;

/// <summary>Runs an MLP over a block of rows.</summary>
internal sealed unsafe class MlpBlock(CpuCompute compute, int maxWidth) : IDisposable
{
    private readonly RowBuffer _gateUp = new(RowBlock.Rows, 2 * maxWidth);

    /// <summary>output = down(SiLU(gate x) × up x) for the rows [first, first + count) of both buffers.</summary>
    public void Run(MlpWeights weights, RowBuffer input, RowBuffer output, int first, int count)
    {
        int width = weights.Down.Columns;
        weights.GateUp.Multiply(compute, input.Span(first, count), input.Width, _gateUp.Span(0, count), _gateUp.Width, count);
        compute.RunRows(new SwiGluWork(_gateUp.Row(0), _gateUp.Row(0) + width, _gateUp.Width, width), count, width);
        weights.Down.Multiply(compute, _gateUp.Span(0, count), _gateUp.Width, output.Span(first, count), output.Width, count);
    }

    public void Dispose() => _gateUp.Dispose();
}
