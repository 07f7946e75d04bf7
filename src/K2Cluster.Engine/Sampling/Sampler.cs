using K2Cluster.Engine.Scheduling;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Engine.Sampling;

/// <summary>
/// Chooses the next token of a sequence. Which one follows from the logits, the parameters and the tokens so far, bit for
/// bit: weights are FP32 by our own exp, every sum runs in FP64 in a stated order, ties have an order. Used by one thread.
/// </summary>
/// <remarks>At K2's vocabulary of 163,840 a draw takes 1 to 3 ms on one core, whatever the distribution.</remarks>
internal sealed class Sampler(int vocabularySize)
{
    private const int MaxDigit = 11;
    private static readonly CpuPath Path = CpuPaths.Best;

    private readonly float[] _weights = new float[vocabularySize];
    private readonly double[] _sums = new double[1 << MaxDigit];

    /// <param name="sequence">The tokens so far; the draw's position is that of the token to be chosen.</param>
    /// <param name="logits">[vocabulary]; overwritten by the request's processor.</param>
    /// <exception cref="SamplingException">A logit is not a number or positive infinity, or none is above negative infinity.</exception>
    public int Sample(Sequence sequence, Span<float> logits)
    {
        GenerationRequest request = sequence.Request;
        request.LogitsProcessor?.Apply(sequence.Tokens, sequence.PromptLength, logits);
        SamplingParameters parameters = request.Sampling;
        int best = Highest(logits);
        return parameters.Temperature == 0
            ? best
            : Draw(logits, logits[best], parameters, Philox.Uniform(parameters.Seed, request.Choice, sequence.Tokens.Length));
    }

    /// <summary>The lowest id among the highest logits.</summary>
    public static int Highest(ReadOnlySpan<float> logits)
    {
        int best = -1;
        float highest = float.NegativeInfinity;
        for (int id = 0; id < logits.Length; id++)
        {
            // Written so that NaN enters.
            if (!(logits[id] <= highest))
            {
                if (!(logits[id] < float.PositiveInfinity))
                    throw new SamplingException($"The logit of token {id} is {logits[id]}.");
                highest = logits[id];
                best = id;
            }
        }

        return best >= 0 ? best : throw new SamplingException("No token is allowed: every logit is negative infinity.");
    }

    /// <summary>
    /// Weights are exp((logit - highest) / temperature); those outside the top-p set become 0; the token is the first, in the
    /// order of ids, at which the running sum passes <paramref name="uniform"/> times the whole sum.
    /// </summary>
    /// <param name="logits">[vocabulary], none NaN or positive infinity.</param>
    /// <param name="highest">The highest of them, finite.</param>
    /// <param name="parameters">Temperature above 0.</param>
    /// <param name="uniform">In [0, 1).</param>
    public int Draw(ReadOnlySpan<float> logits, float highest, SamplingParameters parameters, double uniform)
    {
        Span<float> weights = _weights.AsSpan(0, logits.Length);
        for (int id = 0; id < logits.Length; id++)
            weights[id] = (logits[id] - highest) / parameters.Temperature;
        VectorMath.Exp(Path, weights, weights);
        double sum = 0;
        foreach (float weight in weights)
            sum += weight;
        if (parameters.TopP < 1)
            sum = KeepTop(weights, parameters.TopP, sum);

        double target = uniform * sum;
        double reached = 0;
        int last = 0;
        for (int id = 0; id < weights.Length; id++)
        {
            if (weights[id] == 0)
                continue;
            reached += weights[id];
            last = id;
            if (reached > target)
                break;
        }

        return last;
    }

    /// <summary>
    /// Zeroes all weights but the smallest set, taken by weight from the highest and by id from the lowest, whose sum reaches
    /// <paramref name="topP"/> of <paramref name="sum"/>. Returns the sum of the set, in the order of ids.
    /// </summary>
    /// <remarks>
    /// No sort: that takes tens of ms where 163,840 weights are nearly equal, and everyone waits. Weights are not negative, so
    /// they are ordered as their bits are: three digits, each found by the sums of the weights that share the digits before
    /// it, lead to the weight at which the set ends. A digit's sum runs in the order of ids, the sum over digits from the
    /// highest down.
    /// </remarks>
    private double KeepTop(Span<float> weights, double topP, double sum)
    {
        double target = topP * sum;
        double above = 0;
        uint prefix = 0;
        int prefixShift = 31;
        foreach (int width in (ReadOnlySpan<int>)[MaxDigit, 10, 10])
        {
            int shift = prefixShift - width;
            _sums.AsSpan().Clear();
            foreach (float weight in weights)
            {
                uint bits = BitConverter.SingleToUInt32Bits(weight);
                if (bits >> prefixShift == prefix)
                    _sums[(bits >> shift) & ((1u << width) - 1)] += weight;
            }

            uint digit = (1u << width) - 1;
            while (digit > 0 && above + _sums[digit] < target)
                above += _sums[digit--];
            prefix = (prefix << width) | digit;
            prefixShift = shift;
        }

        float lowest = BitConverter.UInt32BitsToSingle(prefix);
        double kept = 0;
        foreach (ref float weight in weights)
        {
            if (weight < lowest || (weight == lowest && above >= target))
            {
                weight = 0;
                continue;
            }

            if (weight == lowest)
                above += weight;
            kept += weight;
        }

        return kept;
    }
}
