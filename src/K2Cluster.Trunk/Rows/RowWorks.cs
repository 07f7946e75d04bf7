using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Trunk.Rows;

/// <summary>output = RmsNorm(input) × weight, for rows of the weight's length.</summary>
internal readonly unsafe struct NormWork(float* input, nint inputStride, float[] weight, float epsilon, float* output, nint outputStride) : IRowWork
{
    public void Row<TLanes>(int row)
        where TLanes : struct, ILanes<TLanes> =>
        VectorMath.RmsNorm<TLanes>(
            new ReadOnlySpan<float>(input + (row * inputStride), weight.Length), weight, epsilon, new Span<float>(output + (row * outputStride), weight.Length));
}

/// <summary>gate = SiLU(gate) × up.</summary>
internal readonly unsafe struct SwiGluWork(float* gate, float* up, nint stride, int width) : IRowWork
{
    public void Row<TLanes>(int row)
        where TLanes : struct, ILanes<TLanes>
    {
        Span<float> target = new(gate + (row * stride), width);
        VectorMath.SwiGlu<TLanes>(target, new ReadOnlySpan<float>(up + (row * stride), width), target);
    }
}

/// <summary>rows = rows + addend.</summary>
internal readonly unsafe struct AddWork(float* addend, float* rows, int width) : IRowWork
{
    public void Row<TLanes>(int row)
        where TLanes : struct, ILanes<TLanes>
    {
        nint at = (nint)row * width;
        VectorMath.Add<TLanes>(new ReadOnlySpan<float>(addend + at, width), new Span<float>(rows + at, width));
    }
}
