using System.Text.Json;
using K2Cluster.Gateway.Serving;
using K2Cluster.Text;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>text_completion: each prompt's choices, then the next prompt's.</summary>
internal sealed class CompletionFormat(AnswerHead head, IReadOnlyList<GenerationJob> jobs, K2Tokenizer? tokenizer) : AnswerFormat(head, jobs)
{
    /// <summary>How this API marks a token whose bytes are no whole characters.</summary>
    private const string BytesPrefix = "bytes:";

    private readonly TokenNames _names = new(tokenizer);
    private readonly HashSet<int> _begun = [];

    protected override string Kind => "text_completion";

    public override void Begin(ServerSentEvents events)
    {
    }

    protected override void WriteChoice(Utf8JsonWriter json, int index, Answer answer)
    {
        WriteChoiceStart(json, index);
        json.WriteString("text", answer.Message.Content ?? "");
        WritePromptIds(json, index);
        WriteChoiceEnd(json, answer.End!.Reason, answer.Tokens);
    }

    protected override void AddDeltas(ServerSentEvents events, int index, JobStep step)
    {
        // With ids asked for, a token whose text is not certain yet is news, too: ids may be all there is.
        string text = string.Concat(step.Deltas.Select(delta => delta.Text));
        if (text.Length > 0 || (Head.ReturnTokenIds && step.End is null))
            Add(events, index, text, null);
    }

    protected override void AddEnd(ServerSentEvents events, int index, JobEnd end) => Add(events, index, "", end.Reason);

    protected override void WriteLogprobs(Utf8JsonWriter json, List<AnswerToken> tokens)
    {
        json.WriteStartArray("tokens");
        foreach (AnswerToken token in tokens)
            json.WriteStringValue(_names.Name(token.Id, BytesPrefix));
        json.WriteEndArray();
        json.WriteStartArray("token_logprobs");
        foreach (AnswerToken token in tokens)
            json.WriteNumberValue(TokenNames.Finite(token.Logprobs!.Logprob));
        json.WriteEndArray();
        json.WriteStartArray("top_logprobs");
        foreach (AnswerToken token in tokens)
            WriteTop(json, token);
        json.WriteEndArray();
        json.WriteStartArray("text_offset");
        foreach (AnswerToken token in tokens)
            json.WriteNumberValue(token.TextOffset);
        json.WriteEndArray();
    }

    /// <summary>The likeliest tokens and, as OpenAI has it, the chosen one, by their names: of two with one name, the likelier.</summary>
    private void WriteTop(Utf8JsonWriter json, AnswerToken chosen)
    {
        HashSet<string> written = [];
        json.WriteStartObject();
        foreach ((int token, float logprob) in chosen.Logprobs!.Top)
            Write(token, logprob);
        Write(chosen.Id, chosen.Logprobs.Logprob);
        json.WriteEndObject();

        void Write(int token, float logprob)
        {
            string name = _names.Name(token, BytesPrefix);
            if (written.Add(name))
                json.WriteNumber(name, TokenNames.Finite(logprob));
        }
    }

    private void Add(ServerSentEvents events, int index, string text, EndReason? reason) => AddChunk(events, index, reason, json =>
    {
        json.WriteString("text", text);
        if (_begun.Add(index))
            WritePromptIds(json, index);
    });

    private void WritePromptIds(Utf8JsonWriter json, int index)
    {
        if (Head.ReturnTokenIds)
            WriteIds(json, "prompt_token_ids", Jobs[index].Generation.Prompt.Span);
    }
}
