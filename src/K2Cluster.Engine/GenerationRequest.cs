namespace K2Cluster.Engine;

/// <summary>A prompt to go on with. Validated when it is submitted.</summary>
public sealed record GenerationRequest
{
    /// <summary>For logs and traces.</summary>
    public required string Id { get; init; }

    /// <summary>At least one token id, each below the vocabulary's size.</summary>
    public required ReadOnlyMemory<int> Prompt { get; init; }

    /// <summary>Most tokens to generate; at least 1. Cut to what the context leaves.</summary>
    public required int MaxTokens { get; init; }

    public SamplingParameters Sampling { get; init; } = SamplingParameters.Greedy;

    /// <summary>Tokens that end the text. The token that ended it is reported, with <see cref="FinishReason.Stop"/>.</summary>
    public IReadOnlyCollection<int> StopTokens { get; init; } = [];

    /// <summary>The time limit, from submission. A request always has one.</summary>
    public TimeSpan TimeLimit { get; init; } = TimeSpan.FromMinutes(10);
}
