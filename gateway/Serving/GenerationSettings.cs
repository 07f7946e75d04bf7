using K2Cluster.Engine;

namespace K2Cluster.Gateway.Serving;

/// <summary>What a request says about how to generate, as it says it: absent stays null.</summary>
internal sealed record GenerationSettings
{
    public int? MaxTokens { get; init; }

    public double? Temperature { get; init; }

    public double? TopP { get; init; }

    /// <summary>0 for all tokens.</summary>
    public int? TopK { get; init; }

    public double? MinP { get; init; }

    public double? RepetitionPenalty { get; init; }

    public double? PresencePenalty { get; init; }

    public double? FrequencyPenalty { get; init; }

    public IReadOnlyList<TokenBias> LogitBias { get; init; } = [];

    public ulong? Seed { get; init; }

    /// <summary>Lower ones go first, as with vLLM.</summary>
    public int Priority { get; init; }

    /// <summary>Answers to each prompt.</summary>
    public int Choices { get; init; } = 1;

    /// <summary>What one of the answers has generated already: only that one is answered, from there on. Null for answers from their beginning.</summary>
    public int[]? Generated { get; init; }

    /// <summary>Which answer the first one is: with <see cref="Generated"/>, the one that goes on.</summary>
    public int FirstChoice { get; init; }

    /// <summary>Likeliest tokens to report beside each chosen one; null for no log-probabilities.</summary>
    public int? TopLogprobs { get; init; }

    /// <summary>Neither a token nor a string ends the text before so many tokens.</summary>
    public int MinTokens { get; init; }

    public IReadOnlyList<string> Stops { get; init; } = [];

    /// <summary>Tokens that end the text beside the model's own.</summary>
    public IReadOnlyList<int> StopTokenIds { get; init; } = [];

    /// <summary>Generate on past the model's own tokens that end a text.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>The client takes token ids beside the text, or in its place.</summary>
    public bool ReturnTokenIds { get; init; }

    /// <summary>Null for the gateway's own limit.</summary>
    public TimeSpan? TimeLimit { get; init; }
}
