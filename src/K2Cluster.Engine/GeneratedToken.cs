namespace K2Cluster.Engine;

/// <summary>One generated token; the last one carries why it is the last.</summary>
public readonly record struct GeneratedToken(int Id, FinishReason? Finish)
{
    /// <summary>Null unless <see cref="SamplingParameters.TopLogprobs"/> asks for them.</summary>
    public TokenLogprobs? Logprobs { get; init; }
}
