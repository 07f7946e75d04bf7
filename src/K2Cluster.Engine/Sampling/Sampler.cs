using K2Cluster.Engine.Scheduling;

namespace K2Cluster.Engine.Sampling;

/// <summary>
/// Chooses the next token of a sequence. Which one follows from the logits, the parameters and the tokens so far, bit for
/// bit: every sum runs in FP64 in a stated order, exp is our own, ties have an order. Used by one thread.
/// </summary>
internal sealed class Sampler
{
    private readonly double[] _weights;
    private readonly int[] _candidates;
    private readonly Comparison<int> _byWeightThenId;

    public Sampler(int vocabularySize)
    {
        _weights = new double[vocabularySize];
        _candidates = new int[vocabularySize];
        _byWeightThenId = (x, y) => _weights[x] != _weights[y] ? _weights[y].CompareTo(_weights[x]) : x.CompareTo(y);
    }

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
        Span<double> weights = _weights.AsSpan(0, logits.Length);
        double sum = 0;
        for (int id = 0; id < logits.Length; id++)
        {
            weights[id] = Math.Exp(((double)logits[id] - highest) / parameters.Temperature);
            sum += weights[id];
        }

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
    private double KeepTop(Span<double> weights, double topP, double sum)
    {
        // Weights below this floor have less than 1 - topP of the sum all together, so the set is full before it comes to
        // them: only the others are sorted.
        double floor = (1 - topP) * sum / weights.Length;
        int count = 0;
        for (int id = 0; id < weights.Length; id++)
        {
            if (weights[id] > 0 && weights[id] >= floor)
                _candidates[count++] = id;
        }

        Span<int> candidates = _candidates.AsSpan(0, count);
        candidates.Sort(_byWeightThenId);
        double target = topP * sum;
        double reached = weights[candidates[0]];
        int kept = 1;
        while (reached < target && kept < count)
            reached += weights[candidates[kept++]];

        int last = candidates[kept - 1];
        double lowest = weights[last];
        double keptSum = 0;
        for (int id = 0; id < weights.Length; id++)
        {
            if (weights[id] < lowest || (weights[id] == lowest && id > last))
                weights[id] = 0;
            keptSum += weights[id];
        }

        return keptSum;
    }
}
