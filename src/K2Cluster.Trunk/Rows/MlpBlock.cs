using K2Cluster.Kernels.Compute;
using K2Cluster.Trunk.Weights;

namespace K2Cluster.Trunk.Rows;

/// <summary>Runs an MLP over a block of rows.</summary>
internal sealed unsafe class MlpBlock(CpuCompute compute, int maxWidth) : IDisposable
{
    private readonly RowBuffer _gate = new(RowBlock.Rows, maxWidth);
    private readonly RowBuffer _up = new(RowBlock.Rows, maxWidth);

    /// <summary>output = down(SiLU(gate x) × up x) for the rows [first, first + count) of both buffers.</summary>
    public void Run(MlpWeights weights, RowBuffer input, RowBuffer output, int first, int count)
    {
        int width = weights.Gate.Rows;
        weights.Gate.Multiply(compute, input.Span(first, count), input.Width, _gate.Span(0, count), maxWidth, count);
        weights.Up.Multiply(compute, input.Span(first, count), input.Width, _up.Span(0, count), maxWidth, count);
        compute.RunRows(new SwiGluWork(_gate.Row(0), _up.Row(0), maxWidth, width), count, width);
        weights.Down.Multiply(compute, _gate.Span(0, count), maxWidth, output.Span(first, count), output.Width, count);
    }

    public void Dispose()
    {
        _gate.Dispose();
        _up.Dispose();
    }
}
