namespace K2Cluster.Engine.Tests.Sampling;

/// <summary>What <see cref="SamplingParameters"/> says, in FP64 and with sorting: no block, no digit, no order of sums.</summary>
internal static class ReferenceSampler
{
    /// <summary>Logits after biases, penalties and the least length.</summary>
    public static double[] Adjusted(float[] logits, GenerationRequest request, IReadOnlyList<int> generated)
    {
        SamplingParameters sampling = request.Sampling;
        double[] adjusted = [.. logits.Select(logit => (double)logit)];
        foreach (TokenBias bias in sampling.LogitBias)
            adjusted[bias.Token] += bias.Bias;
        ILookup<int, int> times = generated.ToLookup(token => token);
        HashSet<int> prompt = [.. request.Prompt.Span];
        for (int id = 0; id < adjusted.Length; id++)
        {
            int count = times[id].Count();
            if (count > 0 || prompt.Contains(id))
                adjusted[id] = adjusted[id] > 0 ? adjusted[id] / sampling.RepetitionPenalty : adjusted[id] * sampling.RepetitionPenalty;
            if (count > 0)
                adjusted[id] -= (count * sampling.FrequencyPenalty) + sampling.PresencePenalty;
            if (generated.Count < sampling.MinTokens && request.StopTokens.Contains(id))
                adjusted[id] = double.NegativeInfinity;
        }

        return adjusted;
    }

    /// <summary>The probability of each token; 0 for those that cannot come.</summary>
    public static double[] Probabilities(double[] logits, SamplingParameters sampling)
    {
        int[] order = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).ThenBy(id => id)];
        if (sampling.Temperature == 0)
            return [.. logits.Select((_, id) => id == order[0] ? 1.0 : 0)];
        double[] weights = [.. logits.Select(logit => Math.Exp((logit - logits[order[0]]) / sampling.Temperature))];
        IEnumerable<int> kept = order.Where(id => weights[id] > 0 && weights[id] >= sampling.MinP);
        if (sampling.TopK > 0)
            kept = kept.Take(sampling.TopK);
        double sum = kept.Sum(id => weights[id]);
        double reached = 0;
        double[] result = new double[logits.Length];
        foreach (int id in kept)
        {
            result[id] = weights[id];
            reached += weights[id];
            if (sampling.TopP < 1 && reached >= sampling.TopP * sum)
                break;
        }

        return [.. result.Select(weight => weight / reached)];
    }

    /// <summary>The first token, in the order of ids, at which the running sum passes the draw; and how near the draw is to a border between tokens.</summary>
    public static (int Token, double Margin) Draw(double[] probabilities, double uniform)
    {
        double reached = 0;
        double margin = 1;
        int token = -1;
        for (int id = 0; id < probabilities.Length; id++)
        {
            if (probabilities[id] == 0)
                continue;
            reached += probabilities[id];
            margin = Math.Min(margin, Math.Abs(reached - uniform));
            if (token < 0 && reached > uniform)
                token = id;
        }

        return (token < 0 ? Array.FindLastIndex(probabilities, probability => probability > 0) : token, margin);
    }

    /// <summary>ln of the softmax.</summary>
    public static double[] Logprobs(float[] logits)
    {
        double max = logits.Max();
        double whole = max + Math.Log(logits.Sum(logit => Math.Exp(logit - max)));
        return [.. logits.Select(logit => logit - whole)];
    }
}
