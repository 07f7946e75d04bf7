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
}
