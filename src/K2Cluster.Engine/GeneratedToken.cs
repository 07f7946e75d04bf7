namespace K2Cluster.Engine;

/// <summary>One generated token; the last one carries why it is the last.</summary>
public readonly record struct GeneratedToken(int Id, FinishReason? Finish)
{
    /// <summary>Null unless <see cref="SamplingParameters.TopLogprobs"/> asks for them.</summary>
    public TokenLogprobs? Logprobs { get; init; }

    /// <summary>Tokens of the prompt that came from the prefix cache; the same with every token of an answer.</summary>
    public int CachedTokens { get; init; }
}
