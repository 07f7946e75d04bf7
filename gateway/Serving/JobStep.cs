using K2Cluster.Engine;
using K2Cluster.Text.Output;

namespace K2Cluster.Gateway.Serving;

/// <summary>One generated token and what became certain of the text with it.</summary>
/// <param name="Token">The token.</param>
/// <param name="Deltas">Pieces of the text, in order; often none. Plain text comes as content.</param>
/// <param name="End">Set in the last step only.</param>
internal readonly record struct JobStep(AnswerToken Token, IReadOnlyList<OutputDelta> Deltas, JobEnd? End);

/// <summary>A token of an answer.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Logprobs">Set where they were asked for.</param>
/// <param name="TextOffset">Characters (code points) of plain text before it.</param>
internal readonly record struct AnswerToken(int Id, TokenLogprobs? Logprobs, int TextOffset);

/// <summary>How a job ended.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Usage">What it took.</param>
/// <param name="Stop">The stop string that ended it.</param>
internal sealed record JobEnd(EndReason Reason, TokenUsage Usage, string? Stop);

internal enum EndReason
{
    Stop,
    Length,
    ToolCalls,
}

/// <param name="Prompt">Tokens of the prompt.</param>
/// <param name="Completion">Tokens that were generated.</param>
/// <param name="Reasoning">Those of the completion that were reasoning.</param>
/// <param name="Cached">Those of the prompt that came from the prefix cache.</param>
internal readonly record struct TokenUsage(int Prompt, int Completion, int Reasoning, int Cached)
{
    public static TokenUsage operator +(TokenUsage left, TokenUsage right) =>
        new(left.Prompt + right.Prompt, left.Completion + right.Completion, left.Reasoning + right.Reasoning, left.Cached + right.Cached);
}
