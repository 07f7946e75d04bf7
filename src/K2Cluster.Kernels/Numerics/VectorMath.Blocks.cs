using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Numerics;

/// <content>What a sampler does to one row of logits, block by block.</content>
public static unsafe partial class VectorMath
{
    /// <summary>
    /// The largest value of each block of <paramref name="blockLength"/>, the last one possibly shorter. False when the input
    /// has a NaN or +∞; the maxima then say nothing.
    /// </summary>
    /// <param name="path">The instruction set.</param>
    /// <param name="input">Any number of values.</param>
    /// <param name="blockLength">A multiple of 16.</param>
    /// <param name="maxima">One for each block.</param>
    public static bool TryBlockMaxima(CpuPath path, ReadOnlySpan<float> input, int blockLength, Span<float> maxima) => path switch
    {
        CpuPath.Avx512 => TryBlockMaxima<Lanes512>(input, blockLength, maxima),
        CpuPath.Avx2 => TryBlockMaxima<Lanes256>(input, blockLength, maxima),
        _ => TryBlockMaxima<LanesPortable>(input, blockLength, maxima),
    };

    /// <summary>
    /// output = e^((input − shift) / divisor). The sum of each block goes to <paramref name="sums"/>: in FP32 lanes, then their
    /// tree, as in <see cref="ExpSum{TLanes}"/>.
    /// </summary>
    /// <param name="path">The instruction set.</param>
    /// <param name="input">None NaN.</param>
    /// <param name="shift">The largest of the input.</param>
    /// <param name="divisor">Above 0.</param>
    /// <param name="output">As long as the input.</param>
    /// <param name="blockLength">A multiple of 16.</param>
    /// <param name="sums">One for each block.</param>
    public static void ExpBlockSums(CpuPath path, ReadOnlySpan<float> input, float shift, float divisor, Span<float> output, int blockLength, Span<float> sums)
    {
        switch (path)
        {
            case CpuPath.Avx512:
                ExpBlockSums<Lanes512>(input, shift, divisor, output, blockLength, sums);
                break;
            case CpuPath.Avx2:
                ExpBlockSums<Lanes256>(input, shift, divisor, output, blockLength, sums);
                break;
            default:
                ExpBlockSums<LanesPortable>(input, shift, divisor, output, blockLength, sums);
                break;
        }
    }

    private static bool TryBlockMaxima<TLanes>(ReadOnlySpan<float> input, int blockLength, Span<float> maxima)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireBlocks(input.Length, blockLength, maxima.Length, nameof(maxima));
        TLanes lowest = TLanes.Broadcast(float.MinValue);
        // Two chains of each: a maximum is the same in any order, and of the sums only counts whether they are NaN.
        TLanes odd = TLanes.Zero, odd2 = TLanes.Zero;
        float* lanes = stackalloc float[LaneCount];
        fixed (float* x = input)
        {
            for (int block = 0; block < maxima.Length; block++)
            {
                int i = block * blockLength;
                int end = Math.Min(i + blockLength, input.Length);
                TLanes max = TLanes.Broadcast(float.NegativeInfinity), max2 = max;
                for (; i + (2 * LaneCount) <= end; i += 2 * LaneCount)
                {
                    TLanes value = TLanes.Load(x + i), value2 = TLanes.Load(x + i + LaneCount);
                    max = TLanes.Max(value, max);
                    max2 = TLanes.Max(value2, max2);
                    // Times zero, NaN and infinity become NaN and stay in the sum; −∞ is lifted first.
                    odd = TLanes.FusedMultiplyAdd(TLanes.Max(lowest, value), TLanes.Zero, odd);
                    odd2 = TLanes.FusedMultiplyAdd(TLanes.Max(lowest, value2), TLanes.Zero, odd2);
                }

                for (; i < end; i += LaneCount)
                {
                    TLanes value = LaneMath.LoadTail<TLanes>(x + i, Math.Min(LaneCount, end - i), float.NegativeInfinity);
                    max = TLanes.Max(value, max);
                    odd = TLanes.FusedMultiplyAdd(TLanes.Max(lowest, value), TLanes.Zero, odd);
                }

                TLanes.Store(TLanes.Max(max, max2), lanes);
                float result = lanes[0];
                for (int lane = 1; lane < LaneCount; lane++)
                    result = lanes[lane] > result ? lanes[lane] : result;
                maxima[block] = result;
            }
        }

        return TLanes.Sum(TLanes.Add(odd, odd2)) == 0;
    }

    private static void ExpBlockSums<TLanes>(ReadOnlySpan<float> input, float shift, float divisor, Span<float> output, int blockLength, Span<float> sums)
        where TLanes : struct, ILanes<TLanes>
    {
        RequireLength(output.Length, input.Length, nameof(output));
        RequireBlocks(input.Length, blockLength, sums.Length, nameof(sums));
        TLanes shifts = TLanes.Broadcast(shift);
        TLanes divisors = TLanes.Broadcast(divisor);
        fixed (float* x = input, y = output)
        {
            for (int block = 0; block < sums.Length; block++)
            {
                int i = block * blockLength;
                int end = Math.Min(i + blockLength, input.Length);
                TLanes sum = TLanes.Zero;
                for (; i + LaneCount <= end; i += LaneCount)
                {
                    TLanes value = LaneMath.Exp(TLanes.Divide(TLanes.Subtract(TLanes.Load(x + i), shifts), divisors));
                    TLanes.Store(value, y + i);
                    sum = TLanes.Add(sum, value);
                }

                if (i < end)
                {
                    TLanes last = LaneMath.LoadTail<TLanes>(x + i, end - i, float.NegativeInfinity);
                    TLanes value = LaneMath.Exp(TLanes.Divide(TLanes.Subtract(last, shifts), divisors));
                    LaneMath.StoreTail(value, y + i, end - i);
                    sum = TLanes.Add(sum, value);
                }

                sums[block] = TLanes.Sum(sum);
            }
        }
    }

    private static void RequireBlocks(int length, int blockLength, int blocks, string name)
    {
        if (blockLength <= 0 || blockLength % LaneCount != 0)
            throw new ArgumentOutOfRangeException(nameof(blockLength), blockLength, $"A block's length must be a multiple of {LaneCount}.");
        RequireLength(blocks, (length + blockLength - 1) / blockLength, name);
    }
}
