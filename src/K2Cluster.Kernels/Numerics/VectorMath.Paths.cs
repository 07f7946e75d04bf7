using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Numerics;

/// <content>The same, on a path chosen at run time.</content>
public static unsafe partial class VectorMath
{
    /// <inheritdoc cref="RmsNorm{TLanes}(ReadOnlySpan{float}, ReadOnlySpan{float}, float, Span{float})"/>
    public static void RmsNorm(CpuPath path, ReadOnlySpan<float> input, ReadOnlySpan<float> weight, float epsilon, Span<float> output)
    {
        switch (path)
        {
            case CpuPath.Avx512:
                RmsNorm<Lanes512>(input, weight, epsilon, output);
                break;
            case CpuPath.Avx2:
                RmsNorm<Lanes256>(input, weight, epsilon, output);
                break;
            default:
                RmsNorm<LanesPortable>(input, weight, epsilon, output);
                break;
        }
    }

    /// <inheritdoc cref="SwiGlu{TLanes}(ReadOnlySpan{float}, ReadOnlySpan{float}, Span{float})"/>
    public static void SwiGlu(CpuPath path, ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> output)
    {
        switch (path)
        {
            case CpuPath.Avx512:
                SwiGlu<Lanes512>(gate, up, output);
                break;
            case CpuPath.Avx2:
                SwiGlu<Lanes256>(gate, up, output);
                break;
            default:
                SwiGlu<LanesPortable>(gate, up, output);
                break;
        }
    }

    /// <inheritdoc cref="Exp{TLanes}(ReadOnlySpan{float}, Span{float})"/>
    public static void Exp(CpuPath path, ReadOnlySpan<float> input, Span<float> output)
    {
        switch (path)
        {
            case CpuPath.Avx512:
                Exp<Lanes512>(input, output);
                break;
            case CpuPath.Avx2:
                Exp<Lanes256>(input, output);
                break;
            default:
                Exp<LanesPortable>(input, output);
                break;
        }
    }

    /// <inheritdoc cref="Sigmoid{TLanes}(ReadOnlySpan{float}, Span{float})"/>
    public static void Sigmoid(CpuPath path, ReadOnlySpan<float> input, Span<float> output)
    {
        switch (path)
        {
            case CpuPath.Avx512:
                Sigmoid<Lanes512>(input, output);
                break;
            case CpuPath.Avx2:
                Sigmoid<Lanes256>(input, output);
                break;
            default:
                Sigmoid<LanesPortable>(input, output);
                break;
        }
    }

    /// <inheritdoc cref="ExpSum{TLanes}(ReadOnlySpan{float}, float, Span{float})"/>
    public static float ExpSum(CpuPath path, ReadOnlySpan<float> input, float max, Span<float> output) => path switch
    {
        CpuPath.Avx512 => ExpSum<Lanes512>(input, max, output),
        CpuPath.Avx2 => ExpSum<Lanes256>(input, max, output),
        _ => ExpSum<LanesPortable>(input, max, output),
    };

    /// <inheritdoc cref="Max{TLanes}(ReadOnlySpan{float})"/>
    public static float Max(CpuPath path, ReadOnlySpan<float> input) => path switch
    {
        CpuPath.Avx512 => Max<Lanes512>(input),
        CpuPath.Avx2 => Max<Lanes256>(input),
        _ => Max<LanesPortable>(input),
    };

    /// <inheritdoc cref="Sum{TLanes}(ReadOnlySpan{float})"/>
    public static float Sum(CpuPath path, ReadOnlySpan<float> input) => path switch
    {
        CpuPath.Avx512 => Sum<Lanes512>(input),
        CpuPath.Avx2 => Sum<Lanes256>(input),
        _ => Sum<LanesPortable>(input),
    };

    /// <inheritdoc cref="Dot{TLanes}(ReadOnlySpan{float}, ReadOnlySpan{float})"/>
    public static float Dot(CpuPath path, ReadOnlySpan<float> left, ReadOnlySpan<float> right) => path switch
    {
        CpuPath.Avx512 => Dot<Lanes512>(left, right),
        CpuPath.Avx2 => Dot<Lanes256>(left, right),
        _ => Dot<LanesPortable>(left, right),
    };

    /// <inheritdoc cref="Scale{TLanes}(Span{float}, float)"/>
    public static void Scale(CpuPath path, Span<float> values, float factor)
    {
        switch (path)
        {
            case CpuPath.Avx512:
                Scale<Lanes512>(values, factor);
                break;
            case CpuPath.Avx2:
                Scale<Lanes256>(values, factor);
                break;
            default:
                Scale<LanesPortable>(values, factor);
                break;
        }
    }

    /// <inheritdoc cref="Axpy{TLanes}(float, ReadOnlySpan{float}, Span{float})"/>
    public static void Axpy(CpuPath path, float factor, ReadOnlySpan<float> input, Span<float> accumulator)
    {
        switch (path)
        {
            case CpuPath.Avx512:
                Axpy<Lanes512>(factor, input, accumulator);
                break;
            case CpuPath.Avx2:
                Axpy<Lanes256>(factor, input, accumulator);
                break;
            default:
                Axpy<LanesPortable>(factor, input, accumulator);
                break;
        }
    }

    /// <inheritdoc cref="Add{TLanes}(ReadOnlySpan{float}, Span{float})"/>
    public static void Add(CpuPath path, ReadOnlySpan<float> input, Span<float> accumulator)
    {
        switch (path)
        {
            case CpuPath.Avx512:
                Add<Lanes512>(input, accumulator);
                break;
            case CpuPath.Avx2:
                Add<Lanes256>(input, accumulator);
                break;
            default:
                Add<LanesPortable>(input, accumulator);
                break;
        }
    }
}
