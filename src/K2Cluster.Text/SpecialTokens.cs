namespace K2Cluster.Text;

/// <summary>Ids of the control tokens that the template and the parser know; -1 where a vocabulary lacks one.</summary>
public sealed record SpecialTokens
{
    public int BeginOfText { get; init; } = -1;

    public int EndOfText { get; init; } = -1;

    /// <summary>&lt;|im_end|&gt;: ends every message.</summary>
    public int MessageEnd { get; init; } = -1;

    /// <summary>[EOT].</summary>
    public int EndOfTurn { get; init; } = -1;

    public int User { get; init; } = -1;

    public int Assistant { get; init; } = -1;

    public int System { get; init; } = -1;

    /// <summary>&lt;|im_middle|&gt;: ends a message's header.</summary>
    public int Middle { get; init; } = -1;

    public int ThinkBegin { get; init; } = -1;

    public int ThinkEnd { get; init; } = -1;

    public int ToolCallsBegin { get; init; } = -1;

    public int ToolCallsEnd { get; init; } = -1;

    public int ToolCallBegin { get; init; } = -1;

    public int ToolCallArgumentBegin { get; init; } = -1;

    public int ToolCallEnd { get; init; } = -1;

    /// <summary>Tokens that end a generation: &lt;|im_end|&gt;, [EOS], [EOT], those that exist.</summary>
    public IReadOnlyList<int> Stops => [.. new[] { MessageEnd, EndOfText, EndOfTurn }.Where(id => id >= 0)];

    /// <summary>By the published names.</summary>
    /// <param name="find">Gives the id of a name, or -1.</param>
    internal static SpecialTokens Find(Func<string, int> find) => new()
    {
        BeginOfText = find("[BOS]"),
        EndOfText = find("[EOS]"),
        MessageEnd = find("<|im_end|>"),
        EndOfTurn = find("[EOT]"),
        User = find("<|im_user|>"),
        Assistant = find("<|im_assistant|>"),
        System = find("<|im_system|>"),
        Middle = find("<|im_middle|>"),
        ThinkBegin = find("<think>"),
        ThinkEnd = find("</think>"),
        ToolCallsBegin = find("<|tool_calls_section_begin|>"),
        ToolCallsEnd = find("<|tool_calls_section_end|>"),
        ToolCallBegin = find("<|tool_call_begin|>"),
        ToolCallArgumentBegin = find("<|tool_call_argument_begin|>"),
        ToolCallEnd = find("<|tool_call_end|>"),
    };
}
