using K2Cluster.Engine.Scheduling;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Engine.Sampling;

/// <summary>
/// Chooses the next token of a sequence. Which one follows from the logits, the request and the tokens so far, bit for bit and
/// on every instruction set: weights are FP32 by our own exp, every sum runs in a stated order, ties have an order. The order
/// of the steps is that of <see cref="SamplingParameters"/>. Used by one thread; allocates only what
/// <see cref="TokenLogprobs"/> are.
/// </summary>
/// <remarks>
/// Microseconds at K2's vocabulary of 163,840 on one core (AMD EPYC, AVX-512; SamplerBenchmarks): greedy 30, top-k or min-p 30-50,
/// temperature 80-95, with top-p 105, with log-probabilities 65 more; up to 2,000 for top-p where all tokens are nearly equal. The rows of
/// a step are done one after the other on the engine's thread.
/// </remarks>
internal sealed class Sampler(int vocabularySize)
{
    /// <summary>Nearer to 1, rounding decides what the tail weighs: all weights above 0 are then looked at.</summary>
    private const float NearlyAll = 1 - 1e-5f;

    private static readonly CpuPath Path = CpuPaths.Best;

    private readonly LogitBlocks _blocks = new(vocabularySize);
    private readonly TopSet _top = new();
    private readonly float[] _sums = new float[LogitBlocks.Count(vocabularySize)];

    // A row's weights by id; or those of the tokens in _ids, in the same order.
    private readonly float[] _weights = new float[vocabularySize];
    private readonly int[] _ids = new int[vocabularySize];

    private float[] _raw = [];

    /// <param name="sequence">The tokens so far; the draw's position is that of the token to be chosen.</param>
    /// <param name="logits">[vocabulary]; changed as the request asks.</param>
    /// <param name="logprobs">Null unless the request asks for them.</param>
    /// <exception cref="SamplingException">A logit is not a number or positive infinity, or none is above negative infinity.</exception>
    public int Sample(Sequence sequence, Span<float> logits, out TokenLogprobs? logprobs)
    {
        GenerationRequest request = sequence.Request;
        SamplingParameters parameters = request.Sampling;
        ReadOnlySpan<int> tokens = sequence.Tokens;
        ReadOnlySpan<float> raw = logits;
        bool changed = sequence.Sampling.Changes(tokens.Length);
        if (changed)
        {
            if (parameters.TopLogprobs is not null)
                raw = Kept(logits);
            sequence.Sampling.Apply(tokens, logits);
        }

        double uniform = parameters.Temperature == 0 ? 0 : Philox.Uniform(parameters.Seed, request.Choice, tokens.Length);
        int token = Choose(logits, parameters, uniform);
        logprobs = null;
        if (parameters.TopLogprobs is { } count)
        {
            if (changed)
                _blocks.Read(raw);
            logprobs = Logprobs(raw, token, count);
        }

        return token;
    }

    /// <summary>
    /// With temperature 0 the lowest id of the highest logits. Else weights are exp((logit - highest) / temperature); of the
    /// tokens that top-k, min-p and top-p leave, the one is taken, in the order of ids, at which the running sum of weights
    /// passes <paramref name="uniform"/> times their whole sum.
    /// </summary>
    /// <param name="logits">[vocabulary].</param>
    /// <param name="parameters">Temperature, top-k, min-p and top-p.</param>
    /// <param name="uniform">In [0, 1).</param>
    /// <exception cref="SamplingException">As <see cref="Sample"/>.</exception>
    public int Choose(ReadOnlySpan<float> logits, SamplingParameters parameters, double uniform)
    {
        _blocks.Read(logits);
        if (parameters.Temperature == 0 || parameters.TopK == 1)
            return _blocks.First(logits);
        bool few = (parameters.TopK > 0 && parameters.TopK < logits.Length) || parameters.MinP > 0;
        int count;
        double sum;
        if (few)
        {
            count = KeepFew(logits, parameters);
            sum = Sum(count);
        }
        else
        {
            sum = WeighAll(logits, parameters.Temperature);
            if (parameters.TopP >= 1)
                return DrawFromAll(logits.Length, uniform * sum);
            count = KeepHeavy(logits.Length, parameters.TopP, sum);
        }

        if (parameters.TopP < 1)
        {
            count = _top.Keep<TopSet.BySum>(_ids.AsSpan(0, count), _weights.AsSpan(0, count), parameters.TopP * sum);
            sum = Sum(count);
        }

        return _ids[Reach(_weights.AsSpan(0, count), 0, uniform * sum)];
    }

    /// <summary>The tokens that top-k and min-p leave, and their weights. Of the others, no more is asked than whether they are lower.</summary>
    private int KeepFew(ReadOnlySpan<float> logits, SamplingParameters parameters)
    {
        float least = parameters.TopK > 0 ? _blocks.Bound(parameters.TopK) : float.MinValue;
        if (parameters.MinP > 0)
        {
            // A little lower than the lowest that may stay: the weights then decide.
            double bound = _blocks.Highest + (parameters.Temperature * (ReproducibleMath.Log(parameters.MinP) - 0.01)) - (1e-6 * Math.Abs(_blocks.Highest));
            least = MathF.Max(least, (float)Math.Max(float.MinValue, bound));
        }

        int count = _blocks.Collect(logits, least, _ids);
        for (int i = 0; i < count; i++)
            _weights[i] = logits[_ids[i]];
        if (parameters.TopK > 0 && count > parameters.TopK)
            count = _top.Keep<TopSet.ByCount>(_ids.AsSpan(0, count), _weights.AsSpan(0, count), parameters.TopK);
        Span<float> weights = _weights.AsSpan(0, count);
        VectorMath.ExpBlockSums(Path, weights, _blocks.Highest, parameters.Temperature, weights, LogitBlocks.Length, _sums.AsSpan(0, LogitBlocks.Count(count)));
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (weights[i] >= parameters.MinP)
            {
                _ids[kept] = _ids[i];
                weights[kept++] = weights[i];
            }
        }

        return kept;
    }

    /// <summary>Sets the weights of all tokens; returns their sum: FP32 within a block, FP64 over the blocks in their order.</summary>
    private double WeighAll(ReadOnlySpan<float> logits, float temperature)
    {
        VectorMath.ExpBlockSums(Path, logits, _blocks.Highest, temperature, _weights.AsSpan(0, logits.Length), LogitBlocks.Length, _sums);
        double sum = 0;
        foreach (float block in _sums)
            sum += block;
        return sum;
    }

    /// <summary>Of all weights, keeps those without which the others would still reach top-p, the lighter ones left out together.</summary>
    private int KeepHeavy(int length, float topP, double sum)
    {
        // All that are lighter than this weigh, together, at most half of what top-p may leave out.
        float least = topP < NearlyAll ? (float)((1 - (double)topP) * sum / length / 2) : 0;
        int count = LogitBlocks.Append(_weights.AsSpan(0, length), 0, MathF.Max(least, float.Epsilon), _ids, 0);
        for (int i = 0; i < count; i++)
            _weights[i] = _weights[_ids[i]];
        return count;
    }

    private int DrawFromAll(int length, double target)
    {
        double reached = 0;
        int block = 0;
        int last = 0;
        for (; block < _sums.Length; block++)
        {
            if (_sums[block] == 0)
                continue;
            last = block;
            if (reached + _sums[block] > target)
                break;
            reached += _sums[block];
        }

        // Rounding may leave the target beyond the last block.
        if (block == _sums.Length)
            reached -= _sums[last];
        int first = last * LogitBlocks.Length;
        return first + Reach(_weights.AsSpan(first, Math.Min(LogitBlocks.Length, length - first)), reached, target);
    }

    /// <summary>The index at which the running sum, from <paramref name="reached"/> on, passes the target; else that of the last weight above 0.</summary>
    private static int Reach(ReadOnlySpan<float> weights, double reached, double target)
    {
        int last = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            if (weights[i] == 0)
                continue;
            reached += weights[i];
            last = i;
            if (reached > target)
                break;
        }

        return last;
    }

    private double Sum(int count)
    {
        double sum = 0;
        for (int i = 0; i < count; i++)
            sum += _weights[i];
        return sum;
    }

    private ReadOnlySpan<float> Kept(ReadOnlySpan<float> logits)
    {
        if (_raw.Length < logits.Length)
            _raw = new float[logits.Length];
        logits.CopyTo(_raw);
        return _raw.AsSpan(0, logits.Length);
    }

    private TokenLogprobs Logprobs(ReadOnlySpan<float> raw, int token, int count)
    {
        double whole = _blocks.Highest + ReproducibleMath.Log(WeighAll(raw, 1));
        TokenLogprob[] top = [];
        if (count > 0)
        {
            int found = _blocks.Collect(raw, _blocks.Bound(count), _ids);
            for (int i = 0; i < found; i++)
                _weights[i] = raw[_ids[i]];
            found = _top.Keep<TopSet.ByCount>(_ids.AsSpan(0, found), _weights.AsSpan(0, found), count);
            top = new TokenLogprob[found];
            for (int i = 0; i < found; i++)
                Insert(top.AsSpan(0, i + 1), new TokenLogprob(_ids[i], (float)(_weights[i] - whole)));
        }

        return new TokenLogprobs((float)(raw[token] - whole), top);
    }

    /// <summary>Puts a token, whose id is above all before it, in its place among those that are sorted.</summary>
    private static void Insert(Span<TokenLogprob> sorted, TokenLogprob added)
    {
        int i = sorted.Length - 1;
        for (; i > 0 && sorted[i - 1].Logprob < added.Logprob; i--)
            sorted[i] = sorted[i - 1];
        sorted[i] = added;
    }
}
