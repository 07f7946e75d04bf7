using System.Text.Json;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>text_completion: one choice for each prompt.</summary>
internal sealed class CompletionFormat(AnswerHead head, IReadOnlyList<GenerationJob> jobs) : AnswerFormat(head, jobs)
{
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
