using System.Text;
using K2Cluster.Text;
using K2Cluster.Text.Output;

namespace K2Cluster.Gateway.Serving;

/// <summary>
/// Turns the tokens of one answer into pieces of text: splits an assistant's message, or decodes plain text, and ends it
/// before a stop string, though not before the least number of tokens. Stop strings are looked for in reasoning and in content, each for itself, as they read without
/// the markers between them; not in tool arguments, which would be left as half a JSON text.
/// </summary>
internal sealed class AnswerText
{
    private readonly K2Tokenizer? _tokenizer;
    private readonly AnswerKind _kind;
    private readonly OutputParser? _parser;
    private readonly Utf8StreamDecoder? _decoder;
    private readonly IReadOnlyList<string> _stops;
    private readonly List<OutputDelta> _raw = [];
    private readonly int _minTokens;
    private StopMatcher? _matcher;
    private int _tokens;
    private OutputKind _matched;
    private bool _reasoning;

    public AnswerText(GenerationJob job, K2Tokenizer? tokenizer)
    {
        _kind = job.Kind;
        _tokenizer = tokenizer;
        _stops = job.Stops;
        _minTokens = job.Generation.Sampling.MinTokens;
        if (_kind == AnswerKind.Text)
            _decoder = new Utf8StreamDecoder();
        else if (_kind != AnswerKind.Tokens)
            _parser = new OutputParser(tokenizer!, earlierCalls: job.EarlierCalls);
        Replay(job.Generation.Generated.Span);
    }

    /// <summary>The stop string that ended the text; nothing is to be appended after it.</summary>
    public string? Stop { get; private set; }

    /// <summary>Characters (code points) of plain text that were decoded.</summary>
    public int Length { get; private set; }

    public int ReasoningTokens { get; private set; }

    public bool HasToolCalls => _kind == AnswerKind.Message && _parser!.HasToolCalls;

    /// <summary>Goes through what was generated before: whoever asks has the pieces of it already.</summary>
    private void Replay(ReadOnlySpan<int> generated)
    {
        List<OutputDelta> given = [];
        foreach (int token in generated)
        {
            given.Clear();
            Append(token, given);
            if (Stop is not null)
                throw Admission.WholeAnswer($"has the stop string '{Excerpt.Of(Stop)}', which ends the answer");
        }
    }

    /// <summary>Takes one token and appends what has become certain.</summary>
    public void Append(int token, List<OutputDelta> deltas)
    {
        _raw.Clear();
        _tokens++;
        if (_parser is not null)
        {
            CountReasoning(token, _tokenizer!.Special);
            _parser.Append(token, _raw);
        }
        else if (_decoder is not null && !IsHidden(token))
        {
            Decoded(_decoder.Append(_tokenizer!.Bytes(token)));
        }

        Pass(deltas);
    }

    /// <summary>Ends the text: appends what was held back.</summary>
    public void Finish(List<OutputDelta> deltas)
    {
        _raw.Clear();
        _parser?.Finish(_raw);
        if (_decoder is not null)
            Decoded(_decoder.Flush());
        Pass(deltas);
        Flush(deltas);
    }

    /// <summary>As published tokenizers have it, tool and think marks belong to the text, other control tokens do not.</summary>
    private bool IsHidden(int token)
    {
        if (!_tokenizer!.IsSpecial(token))
            return false;
        SpecialTokens special = _tokenizer.Special;
        return token != special.ThinkBegin && token != special.ThinkEnd
            && token != special.ToolCallsBegin && token != special.ToolCallsEnd
            && token != special.ToolCallBegin && token != special.ToolCallArgumentBegin && token != special.ToolCallEnd;
    }

    private void CountReasoning(int token, SpecialTokens special)
    {
        if (token == special.ThinkBegin)
            _reasoning = true;
        else if (token == special.ThinkEnd || token == special.ToolCallsBegin)
            _reasoning = false;
        else if (_reasoning)
            ReasoningTokens++;
    }

    private void Decoded(string text)
    {
        if (text.Length == 0)
            return;
        _raw.Add(new OutputDelta(OutputKind.Content, text));
        foreach (Rune _ in text.EnumerateRunes())
            Length++;
    }

    private void Pass(List<OutputDelta> deltas)
    {
        foreach (OutputDelta delta in _raw)
        {
            bool isCall = delta.Kind is OutputKind.ToolCall or OutputKind.ToolArguments;
            if (Stop is not null || (isCall && _kind == AnswerKind.MessageWithoutTools))
                continue;
            if (isCall || _stops.Count == 0)
            {
                Flush(deltas);
                deltas.Add(delta);
                continue;
            }

            if (_matcher is null || _matched != delta.Kind)
            {
                Flush(deltas);
                _matcher = new StopMatcher(_stops);
                _matched = delta.Kind;
            }

            Add(_matcher.Append(delta.Text, _tokens > _minTokens), deltas);
            Stop = _matcher.Matched;
        }
    }

    private void Flush(List<OutputDelta> deltas)
    {
        if (_matcher is not null && Stop is null)
            Add(_matcher.Flush(), deltas);
        _matcher = null;
    }

    private void Add(string text, List<OutputDelta> deltas)
    {
        if (text.Length > 0)
            deltas.Add(new OutputDelta(_matched, text));
    }
}
