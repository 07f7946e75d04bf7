using K2Cluster.Engine;

namespace K2Cluster.Gateway.Serving;

/// <summary>A checked request for one answer: what to run, and how its tokens become text.</summary>
internal sealed record GenerationJob
{
    /// <summary>What the engine runs.</summary>
    public required GenerationRequest Generation { get; init; }

    /// <summary>What the text of the answer is made of.</summary>
    public required AnswerKind Kind { get; init; }

    /// <summary>The text ends before the first of these.</summary>
    public IReadOnlyList<string> Stops { get; init; } = [];

    /// <summary>What its usage says of the prompt: 0 where another answer to the same prompt counts it.</summary>
    public required int PromptTokens { get; init; }

    /// <summary>Tool calls in the conversation so far: ids of new ones go on counting.</summary>
    public int EarlierCalls { get; init; }
}

internal enum AnswerKind
{
    /// <summary>Token ids only: there is no tokenizer.</summary>
    Tokens,

    /// <summary>The text of the tokens.</summary>
    Text,

    /// <summary>An assistant's message: reasoning, content, tool calls.</summary>
    Message,

    /// <summary>An assistant's message; tool calls that the model makes although none are wanted are left out.</summary>
    MessageWithoutTools,
}
