using K2Cluster.Text.Output;

namespace K2Cluster.Gateway.Serving;

/// <summary>One generated token and what became certain of the text with it.</summary>
/// <param name="Token">Its id.</param>
/// <param name="Deltas">Pieces of the text, in order; often none. Plain text comes as content.</param>
/// <param name="End">Set in the last step only.</param>
internal readonly record struct JobStep(int Token, IReadOnlyList<OutputDelta> Deltas, JobEnd? End);

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

internal readonly record struct TokenUsage(int Prompt, int Completion, int Reasoning)
{
    public static TokenUsage operator +(TokenUsage left, TokenUsage right) =>
        new(left.Prompt + right.Prompt, left.Completion + right.Completion, left.Reasoning + right.Reasoning);
}
