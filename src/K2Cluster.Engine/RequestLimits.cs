using K2Cluster.Trunk;

namespace K2Cluster.Engine;

/// <summary>Holds a request against what the model and the KV pages allow, before it is queued.</summary>
internal sealed class RequestLimits(ITrunk trunk, EngineOptions options)
{
    /// <summary>The checkpoint's own, at most 64, the tokenizer's, and those of the request.</summary>
    private const int MaxStopTokens = 256;

    /// <summary>Tokens of prompt and answer together: a request that has all pages to itself still ends within them.</summary>
    public int MaxContext { get; } = (int)Math.Min(trunk.MaxPositions, (long)trunk.PageCount * ITrunk.PageTokens);

    /// <summary>Returns the most tokens that the request will get: its own limit, cut to what the context leaves; at least 1.</summary>
    /// <exception cref="ArgumentException">Says what is wrong, with the value and the limit.</exception>
    public int Check(GenerationRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        ReadOnlySpan<int> prompt = request.Prompt.Span;
        if (prompt.IsEmpty)
            throw Refused("the prompt is empty; it needs at least one token");
        if (prompt.Length >= MaxContext)
            throw Refused($"the prompt has {prompt.Length} tokens; prompt and answer together may have {MaxContext} (the model has {trunk.MaxPositions} positions, the KV memory {trunk.PageCount} pages of {ITrunk.PageTokens} tokens), and the answer needs at least 1");
        CheckTokens(prompt, "the prompt");
        if (request.MaxTokens < 1)
            throw Refused($"MaxTokens is {request.MaxTokens}; it must be at least 1");
        if (Math.Abs((long)request.Priority) > GenerationRequest.MaxPriority)
            throw Refused($"Priority is {request.Priority}; it must be {-GenerationRequest.MaxPriority} to {GenerationRequest.MaxPriority}");
        if (request.DraftTokens < 0)
            throw Refused($"DraftTokens is {request.DraftTokens}; it must be 0 or more");
        if ((Problem(request.Sampling) ?? StopTokenProblem(request.StopTokens)) is { } problem)
            throw Refused(problem);
        if (request.TimeLimit <= TimeSpan.Zero || request.TimeLimit > options.MaxTimeLimit)
            throw Refused($"the time limit is {request.TimeLimit}; it must be above zero and at most {options.MaxTimeLimit}");
        int most = Math.Min(request.MaxTokens, MaxContext - prompt.Length);
        ReadOnlySpan<int> generated = request.Generated.Span;
        if (generated.Length >= most)
            throw Refused($"{generated.Length} tokens are generated already, and it may have {most}");
        CheckTokens(generated, "what it generated");
        return most;

        void CheckTokens(ReadOnlySpan<int> tokens, string of)
        {
            foreach (int token in tokens)
            {
                if ((uint)token >= (uint)trunk.VocabularySize)
                    throw Refused($"{of} has token {token}; the vocabulary has 0 to {trunk.VocabularySize - 1}");
            }
        }

        ArgumentException Refused(string reason) => new($"Request '{request.Id}' was refused: {reason}.");
    }

    private string? Problem(SamplingParameters sampling)
    {
        const float inverse = 1 / SamplingParameters.MaxRepetitionPenalty;
        if (!(float.IsFinite(sampling.Temperature) && sampling.Temperature >= 0))
            return $"Temperature is {sampling.Temperature}; it must be 0 (greedy) or a positive number";
        if (!(sampling.TopP > 0 && sampling.TopP <= 1))
            return $"TopP is {sampling.TopP}; it must be above 0 and at most 1";
        if (sampling.TopK < 0)
            return $"TopK is {sampling.TopK}; it must be 0 (all) or a number of tokens";
        if (!(sampling.MinP >= 0 && sampling.MinP <= 1))
            return $"MinP is {sampling.MinP}; it must be 0 to 1";
        if (!(sampling.RepetitionPenalty >= inverse && sampling.RepetitionPenalty <= SamplingParameters.MaxRepetitionPenalty))
            return $"RepetitionPenalty is {sampling.RepetitionPenalty}; it must be {inverse} to {SamplingParameters.MaxRepetitionPenalty}";
        if (!(MathF.Abs(sampling.PresencePenalty) <= SamplingParameters.MaxPenalty))
            return $"PresencePenalty is {sampling.PresencePenalty}; it must be -{SamplingParameters.MaxPenalty} to {SamplingParameters.MaxPenalty}";
        if (!(MathF.Abs(sampling.FrequencyPenalty) <= SamplingParameters.MaxPenalty))
            return $"FrequencyPenalty is {sampling.FrequencyPenalty}; it must be -{SamplingParameters.MaxPenalty} to {SamplingParameters.MaxPenalty}";
        if (sampling.MinTokens < 0)
            return $"MinTokens is {sampling.MinTokens}; it must not be negative";
        if (sampling.TopLogprobs is < 0 or > SamplingParameters.MaxTopLogprobs)
            return $"TopLogprobs is {sampling.TopLogprobs}; it must be 0 to {SamplingParameters.MaxTopLogprobs}";
        return BiasProblem(sampling.LogitBias);
    }

    private string? BiasProblem(IReadOnlyList<TokenBias> biases)
    {
        if (biases.Count > SamplingParameters.MaxLogitBias)
            return $"LogitBias has {biases.Count} entries; at most {SamplingParameters.MaxLogitBias} are taken";
        foreach ((int token, float bias) in biases)
        {
            if ((uint)token >= (uint)trunk.VocabularySize)
                return $"LogitBias has token {token}; the vocabulary has 0 to {trunk.VocabularySize - 1}";
            if (!(MathF.Abs(bias) <= SamplingParameters.MaxBias))
                return $"the LogitBias of token {token} is {bias}; it must be -{SamplingParameters.MaxBias} to {SamplingParameters.MaxBias}";
        }

        return null;
    }

    private string? StopTokenProblem(IReadOnlyCollection<int> tokens)
    {
        if (tokens.Count > MaxStopTokens)
            return $"StopTokens has {tokens.Count} entries; at most {MaxStopTokens} are taken";
        foreach (int token in tokens)
        {
            if ((uint)token >= (uint)trunk.VocabularySize)
                return $"StopTokens has token {token}; the vocabulary has 0 to {trunk.VocabularySize - 1}";
        }

        return null;
    }
}
