using K2Cluster.Trunk;

namespace K2Cluster.Engine;

/// <summary>Holds a request against what the model and the KV pages allow, before it is queued.</summary>
internal sealed class RequestLimits(ITrunk trunk, EngineOptions options)
{
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
        foreach (int token in prompt)
        {
            if ((uint)token >= (uint)trunk.VocabularySize)
                throw Refused($"the prompt has token {token}; the vocabulary has 0 to {trunk.VocabularySize - 1}");
        }

        if (request.MaxTokens < 1)
            throw Refused($"MaxTokens is {request.MaxTokens}; it must be at least 1");
        if (!(float.IsFinite(request.Sampling.Temperature) && request.Sampling.Temperature >= 0))
            throw Refused($"Temperature is {request.Sampling.Temperature}; it must be 0 (greedy) or a positive number");
        if (!(request.Sampling.TopP > 0 && request.Sampling.TopP <= 1))
            throw Refused($"TopP is {request.Sampling.TopP}; it must be above 0 and at most 1");
        if (request.TimeLimit <= TimeSpan.Zero || request.TimeLimit > options.MaxTimeLimit)
            throw Refused($"the time limit is {request.TimeLimit}; it must be above zero and at most {options.MaxTimeLimit}");
        return Math.Min(request.MaxTokens, MaxContext - prompt.Length);

        ArgumentException Refused(string reason) => new($"Request '{request.Id}' was refused: {reason}.");
    }
}
