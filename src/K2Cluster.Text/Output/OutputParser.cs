namespace K2Cluster.Text.Output;

/// <summary>
/// Splits a token stream into reasoning, content and tool calls. Markers are recognised by id, so no fragment of one can leak.
/// One parser a message; joining its deltas gives the same message however the tokens were cut.
/// </summary>
public sealed class OutputParser(K2Tokenizer tokenizer)
{
    /// <summary>Takes one token and appends what has become certain.</summary>
    public void Append(int token, List<OutputDelta> deltas) => throw new NotSupportedException(tokenizer.ToString());

    /// <summary>Ends the message: flushes what was held back.</summary>
    public void Finish(List<OutputDelta> deltas) => throw new NotSupportedException();

    /// <summary>Whether a complete tool call was seen: the finish reason is then tool_calls.</summary>
    public bool HasToolCalls => throw new NotSupportedException();
}
