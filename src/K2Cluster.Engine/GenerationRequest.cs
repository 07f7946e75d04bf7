namespace K2Cluster.Engine;

/// <summary>A prompt to go on with. Validated when it is submitted.</summary>
public sealed record GenerationRequest
{
    /// <summary>The range of <see cref="Priority"/> is ± this.</summary>
    public const int MaxPriority = 10;

    /// <summary>For logs and traces.</summary>
    public required string Id { get; init; }

    /// <summary>At least one token id, each below the vocabulary's size.</summary>
    public required ReadOnlyMemory<int> Prompt { get; init; }

    /// <summary>
    /// What the request has generated already, here or elsewhere: the answer goes on after it, to the same tokens as if it had
    /// not been interrupted. Its tokens count as generated ones, and are not given out again.
    /// </summary>
    public ReadOnlyMemory<int> Generated { get; init; }

    /// <summary>Most tokens to generate, those of <see cref="Generated"/> among them; at least one more than these. Cut to what the context leaves.</summary>
    public required int MaxTokens { get; init; }

    /// <summary>
    /// -10 to 10. The higher one gets a place and KV pages first; among equals, who came first. One that runs keeps its place
    /// when a higher one comes, but gives up its pages where those that run lack some. A lower one waits for as long as higher
    /// ones take all the engine has: its time limit bounds that.
    /// </summary>
    public int Priority { get; init; }

    /// <summary>Most tokens to draft for a step (<see cref="EngineOptions.DraftTokens"/>, which this cannot exceed); null for the engine's, 0 for none.</summary>
    public int? DraftTokens { get; init; }

    public SamplingParameters Sampling { get; init; } = SamplingParameters.Greedy;

    /// <summary>Which of several answers to one prompt this is: part of the key of the random draws, so that they differ.</summary>
    public int Choice { get; init; }

    /// <summary>Changes the logits before a token is chosen (a grammar's mask); null leaves them as they are.</summary>
    public ILogitsProcessor? LogitsProcessor { get; init; }

    /// <summary>Tokens that end the text. The token that ended it is reported, with <see cref="FinishReason.Stop"/>.</summary>
    public IReadOnlyCollection<int> StopTokens { get; init; } = [];

    /// <summary>The time limit, from submission; more than zero, at most <see cref="EngineOptions.MaxTimeLimit"/>. A request always has one.</summary>
    public TimeSpan TimeLimit { get; init; } = TimeSpan.FromMinutes(10);
}
