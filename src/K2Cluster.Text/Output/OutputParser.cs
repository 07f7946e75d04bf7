using System.Text;

namespace K2Cluster.Text.Output;

/// <summary>
/// Splits a token stream into reasoning, content and tool calls. Markers are recognised by id, so no fragment of one can leak.
/// One parser a message; joining its deltas (<see cref="AssistantMessage"/>) gives the same message however the tokens were cut.
/// <list type="bullet">
/// <item>Text is content unless it stands in &lt;think&gt; … &lt;/think&gt;. A tool section ends reasoning that was left open.</item>
/// <item>A call begins, whether or not its section was opened, at &lt;|tool_call_begin|&gt;, and is given out as soon as its name is
/// complete; then its arguments as they come. It is complete at its end marker, or where the next call or the section's end
/// follows without one. A call without a name is dropped: nobody could run it.</item>
/// <item>A call that the token limit cuts off stays in the message with the arguments it had, which may be half a JSON text;
/// cut off before its name was complete, it is not in the message. <see cref="HasToolCalls"/> counts complete calls only.</item>
/// <item>Text in the section outside of calls, and all after it, is dropped, and so are control tokens that belong nowhere.</item>
/// </list>
/// </summary>
/// <param name="tokenizer">The vocabulary of the tokens.</param>
/// <param name="insideReasoning">Whether the prompt ended with an open &lt;think&gt;.</param>
/// <param name="earlierCalls">Calls in the conversation so far: where a call whose id has no index, or one that was given already, goes on counting.</param>
public sealed class OutputParser(K2Tokenizer tokenizer, bool insideReasoning = false, int earlierCalls = 0)
{
    private enum Part
    {
        Content,
        Reasoning,

        /// <summary>In the tool section, between calls.</summary>
        BetweenCalls,

        CallId,
        Arguments,
        AfterSection,
    }

    private readonly SpecialTokens _special = tokenizer.Special;
    private readonly Utf8StreamDecoder _decoder = new();
    private readonly StringBuilder _callId = new();
    private readonly HashSet<string> _givenIds = [];
    private Part _part = insideReasoning ? Part.Reasoning : Part.Content;
    private int _calls;
    private long _nextIndex = earlierCalls;
    private bool _argumentsBegun;

    /// <summary>Whether a complete tool call was seen: the finish reason is then tool_calls.</summary>
    public bool HasToolCalls { get; private set; }

    /// <summary>Takes one token and appends what has become certain.</summary>
    public void Append(int token, List<OutputDelta> deltas)
    {
        if (tokenizer.IsSpecial(token))
            AppendMarker(token, deltas);
        else
            AppendText(_decoder.Append(tokenizer.Bytes(token)), deltas);
    }

    /// <summary>Ends the message: flushes what was held back.</summary>
    public void Finish(List<OutputDelta> deltas) => AppendText(_decoder.Flush(), deltas);

    private void AppendMarker(int token, List<OutputDelta> deltas)
    {
        AppendText(_decoder.Flush(), deltas);
        if (_part == Part.AfterSection)
        {
            if (token == _special.ToolCallsBegin)
                _part = Part.BetweenCalls;
            return;
        }

        bool inCall = _part is Part.CallId or Part.Arguments;
        if (token == _special.ToolCallBegin)
        {
            EndCall(deltas);
            _callId.Clear();
            _part = Part.CallId;
        }
        else if (token == _special.ToolCallArgumentBegin && _part == Part.CallId)
        {
            BeginArguments(deltas);
        }
        else if (token == _special.ToolCallEnd && inCall)
        {
            EndCall(deltas);
            _part = Part.BetweenCalls;
        }
        else if (token == _special.ToolCallsEnd && (inCall || _part == Part.BetweenCalls))
        {
            EndCall(deltas);
            _part = Part.AfterSection;
        }
        else if (token == _special.ToolCallsBegin && !inCall)
        {
            _part = Part.BetweenCalls;
        }
        else if (token == _special.ThinkBegin && _part == Part.Content)
        {
            _part = Part.Reasoning;
        }
        else if (token == _special.ThinkEnd && _part == Part.Reasoning)
        {
            _part = Part.Content;
        }
    }

    private void AppendText(string text, List<OutputDelta> deltas)
    {
        if (text.Length == 0)
            return;

        switch (_part)
        {
            case Part.Content:
                deltas.Add(new OutputDelta(OutputKind.Content, text));
                break;
            case Part.Reasoning:
                deltas.Add(new OutputDelta(OutputKind.Reasoning, text));
                break;
            case Part.CallId:
                _callId.Append(text);
                break;
            case Part.Arguments:
                AppendArguments(text, deltas);
                break;
        }
    }

    private void AppendArguments(string text, List<OutputDelta> deltas)
    {
        // Leading white space would make empty arguments look like some.
        if (!_argumentsBegun)
            text = text.TrimStart();
        if (text.Length == 0)
            return;

        _argumentsBegun = true;
        deltas.Add(new OutputDelta(OutputKind.ToolArguments, text, _calls));
    }

    private void BeginArguments(List<OutputDelta> deltas)
    {
        (string name, int? written) = ToolCallIds.Parse(_callId.ToString());
        if (name.Length == 0)
        {
            _part = Part.BetweenCalls;
            return;
        }

        _part = Part.Arguments;
        _argumentsBegun = false;
        deltas.Add(new OutputDelta(OutputKind.ToolCall, "", _calls, UniqueId(name, written), name));
    }

    // Results are matched to calls by id, so a message must not have one twice.
    private string UniqueId(string name, int? written)
    {
        long index = written ?? _nextIndex;
        string id = ToolCallIds.Format(name, index);
        if (!_givenIds.Add(id))
        {
            index = _nextIndex;
            id = ToolCallIds.Format(name, index);
            _givenIds.Add(id);
        }

        _nextIndex = Math.Max(_nextIndex, index + 1);
        return id;
    }

    private void EndCall(List<OutputDelta> deltas)
    {
        if (_part == Part.CallId && _callId.Length > 0)
            BeginArguments(deltas);
        if (_part != Part.Arguments)
            return;

        if (!_argumentsBegun)
            deltas.Add(new OutputDelta(OutputKind.ToolArguments, "{}", _calls));
        HasToolCalls = true;
        _calls++;
    }
}
