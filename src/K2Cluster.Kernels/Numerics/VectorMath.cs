using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Numerics;

/// <summary>
/// What the trunk does to one row. Reductions have 16 stated lanes (lane i takes elements i, i+16, …; a shorter tail is
/// padded) and the stated tree of <see cref="ILanes{TSelf}.Sum"/>, so every path gives the same bits. Output may be the
/// input itself. Within a part of <see cref="CpuCompute"/> use the methods that take lanes; elsewhere those that take a path.
/// </summary>
public static unsafe partial class VectorMath
{
    private const int LaneCount = LaneMath.LaneCount;

    /// <summary>output = (input × (1 / √(mean(input²) + epsilon))) × weight.</summary>
    public static void RmsNorm<TLanes>(ReadOnlySpan<float> input, ReadOnlySpan<float> weight, float epsilon, Span<float> output)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireLength(weight.Length, input.Length, nameof(weight));
        RequireLength(output.Length, input.Length, nameof(output));
        float mean = Dot<TLanes>(input, input) / input.Length;
        TLanes inverse = TLanes.Broadcast(1f / MathF.Sqrt(mean + epsilon));
        fixed (float* x = input, w = weight, y = output)
        {
            int i = 0;
            for (; i + LaneCount <= input.Length; i += LaneCount)
                TLanes.Store(TLanes.Multiply(TLanes.Multiply(TLanes.Load(x + i), inverse), TLanes.Load(w + i)), y + i);
            int tail = input.Length - i;
            if (tail > 0)
            {
                TLanes last = TLanes.Multiply(LaneMath.LoadTail<TLanes>(x + i, tail), inverse);
                LaneMath.StoreTail(TLanes.Multiply(last, LaneMath.LoadTail<TLanes>(w + i, tail)), y + i, tail);
            }
        }
    }

    /// <summary>output = gate / (1 + e^−gate) × up.</summary>
    public static void SwiGlu<TLanes>(ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> output)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireLength(up.Length, gate.Length, nameof(up));
        RequireLength(output.Length, gate.Length, nameof(output));
        fixed (float* g = gate, u = up, y = output)
        {
            int i = 0;
            for (; i + LaneCount <= gate.Length; i += LaneCount)
                TLanes.Store(LaneMath.SwiGlu(TLanes.Load(g + i), TLanes.Load(u + i)), y + i);
            int tail = gate.Length - i;
            if (tail > 0)
                LaneMath.StoreTail(LaneMath.SwiGlu(LaneMath.LoadTail<TLanes>(g + i, tail), LaneMath.LoadTail<TLanes>(u + i, tail)), y + i, tail);
        }
    }

    /// <summary>output = e^input.</summary>
    public static void Exp<TLanes>(ReadOnlySpan<float> input, Span<float> output)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireLength(output.Length, input.Length, nameof(output));
        fixed (float* x = input, y = output)
        {
            int i = 0;
            for (; i + LaneCount <= input.Length; i += LaneCount)
                TLanes.Store(LaneMath.Exp(TLanes.Load(x + i)), y + i);
            int tail = input.Length - i;
            if (tail > 0)
                LaneMath.StoreTail(LaneMath.Exp(LaneMath.LoadTail<TLanes>(x + i, tail)), y + i, tail);
        }
    }

    /// <summary>output = 1 / (1 + e^−input).</summary>
    public static void Sigmoid<TLanes>(ReadOnlySpan<float> input, Span<float> output)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireLength(output.Length, input.Length, nameof(output));
        fixed (float* x = input, y = output)
        {
            int i = 0;
            for (; i + LaneCount <= input.Length; i += LaneCount)
                TLanes.Store(LaneMath.Sigmoid(TLanes.Load(x + i)), y + i);
            int tail = input.Length - i;
            if (tail > 0)
                LaneMath.StoreTail(LaneMath.Sigmoid(LaneMath.LoadTail<TLanes>(x + i, tail)), y + i, tail);
        }
    }

    /// <summary>The first step of a softmax: output = e^(input − max); returns the sum of the outputs.</summary>
    public static float ExpSum<TLanes>(ReadOnlySpan<float> input, float max, Span<float> output)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireLength(output.Length, input.Length, nameof(output));
        TLanes sum = TLanes.Zero;
        TLanes shift = TLanes.Broadcast(max);
        fixed (float* x = input, y = output)
        {
            int i = 0;
            for (; i + LaneCount <= input.Length; i += LaneCount)
            {
                TLanes value = LaneMath.Exp(TLanes.Subtract(TLanes.Load(x + i), shift));
                TLanes.Store(value, y + i);
                sum = TLanes.Add(sum, value);
            }

            int tail = input.Length - i;
            if (tail > 0)
            {
                TLanes value = LaneMath.Exp(TLanes.Subtract(LaneMath.LoadTail<TLanes>(x + i, tail), shift));
                LaneMath.StoreTail(value, y + i, tail);
                sum = TLanes.Add(sum, LaneMath.LoadTail<TLanes>(y + i, tail));
            }
        }

        return TLanes.Sum(sum);
    }

    /// <summary>The largest value; NaN is passed over; −∞ for an empty row.</summary>
    public static float Max<TLanes>(ReadOnlySpan<float> input)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes max = TLanes.Broadcast(float.NegativeInfinity);
        fixed (float* x = input)
        {
            int i = 0;
            for (; i + LaneCount <= input.Length; i += LaneCount)
                max = TLanes.Max(TLanes.Load(x + i), max);
            int tail = input.Length - i;
            if (tail > 0)
                max = TLanes.Max(LaneMath.LoadTail<TLanes>(x + i, tail, float.NegativeInfinity), max);
        }

        float* lanes = stackalloc float[LaneCount];
        TLanes.Store(max, lanes);
        float result = lanes[0];
        for (int i = 1; i < LaneCount; i++)
            result = lanes[i] > result ? lanes[i] : result;
        return result;
    }

    public static float Sum<TLanes>(ReadOnlySpan<float> input)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes sum = TLanes.Zero;
        fixed (float* x = input)
        {
            int i = 0;
            for (; i + LaneCount <= input.Length; i += LaneCount)
                sum = TLanes.Add(sum, TLanes.Load(x + i));
            int tail = input.Length - i;
            if (tail > 0)
                sum = TLanes.Add(sum, LaneMath.LoadTail<TLanes>(x + i, tail));
        }

        return TLanes.Sum(sum);
    }

    /// <summary>Σ left × right, one fused multiply-add per element and lane.</summary>
    public static float Dot<TLanes>(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireLength(right.Length, left.Length, nameof(right));
        TLanes sum = TLanes.Zero;
        fixed (float* a = left, b = right)
        {
            int i = 0;
            for (; i + LaneCount <= left.Length; i += LaneCount)
                sum = TLanes.FusedMultiplyAdd(TLanes.Load(a + i), TLanes.Load(b + i), sum);
            int tail = left.Length - i;
            if (tail > 0)
                sum = TLanes.FusedMultiplyAdd(LaneMath.LoadTail<TLanes>(a + i, tail), LaneMath.LoadTail<TLanes>(b + i, tail), sum);
        }

        return TLanes.Sum(sum);
    }

    /// <summary>values = values × factor.</summary>
    public static void Scale<TLanes>(Span<float> values, float factor)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes scale = TLanes.Broadcast(factor);
        fixed (float* x = values)
        {
            int i = 0;
            for (; i + LaneCount <= values.Length; i += LaneCount)
                TLanes.Store(TLanes.Multiply(TLanes.Load(x + i), scale), x + i);
            for (; i < values.Length; i++)
                x[i] *= factor;
        }
    }

    /// <summary>accumulator = fma(factor, input, accumulator).</summary>
    public static void Axpy<TLanes>(float factor, ReadOnlySpan<float> input, Span<float> accumulator)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireLength(accumulator.Length, input.Length, nameof(accumulator));
        TLanes scale = TLanes.Broadcast(factor);
        fixed (float* x = input, y = accumulator)
        {
            int i = 0;
            for (; i + LaneCount <= input.Length; i += LaneCount)
                TLanes.Store(TLanes.FusedMultiplyAdd(scale, TLanes.Load(x + i), TLanes.Load(y + i)), y + i);
            for (; i < input.Length; i++)
                y[i] = MathF.FusedMultiplyAdd(factor, x[i], y[i]);
        }
    }

    /// <summary>accumulator = accumulator + input.</summary>
    public static void Add<TLanes>(ReadOnlySpan<float> input, Span<float> accumulator)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireLength(accumulator.Length, input.Length, nameof(accumulator));
        fixed (float* x = input, y = accumulator)
        {
            int i = 0;
            for (; i + LaneCount <= input.Length; i += LaneCount)
                TLanes.Store(TLanes.Add(TLanes.Load(y + i), TLanes.Load(x + i)), y + i);
            for (; i < input.Length; i++)
                y[i] += x[i];
        }
    }

    private static void RequireLength(int length, int expected, string name)
    {
        if (length != expected)
            ThrowLength(length, expected, name);
    }

    private static void ThrowLength(int length, int expected, string name) =>
        throw new ArgumentException($"{name} has {length} elements, the input {expected}.", name);
}
