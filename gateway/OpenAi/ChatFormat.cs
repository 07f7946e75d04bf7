using System.Text.Json;
using K2Cluster.Gateway.Serving;
using K2Cluster.Text;
using K2Cluster.Text.Output;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>chat.completion and chat.completion.chunk, with reasoning_content beside content as vLLM has it.</summary>
internal sealed class ChatFormat(AnswerHead head, IReadOnlyList<GenerationJob> jobs, K2Tokenizer? tokenizer) : AnswerFormat(head, jobs)
{
    private readonly TokenNames _names = new(tokenizer);

    protected override string Kind => "chat.completion";

    protected override string ChunkKind => "chat.completion.chunk";

    public override void Begin(ServerSentEvents events)
    {
        for (int index = 0; index < Jobs.Count; index++)
        {
            AddChunk(events, index, null, json =>
            {
                json.WriteStartObject("delta");
                json.WriteString("role", "assistant");
                json.WriteString("content", "");
                json.WriteEndObject();
            }, index == 0 ? WriteExtras : null);
        }
    }

    protected override void WriteChoice(Utf8JsonWriter json, int index, Answer answer)
    {
        AssistantMessage message = answer.Message;
        WriteChoiceStart(json, index);
        json.WriteStartObject("message");
        json.WriteString("role", "assistant");
        // As OpenAI has it: null where calls take the place of an answer, else a string.
        json.WriteString("content", message.ToolCalls.Count > 0 ? message.Content : message.Content ?? "");
        if (message.Reasoning is not null)
            json.WriteString("reasoning_content", message.Reasoning);
        if (message.ToolCalls.Count > 0)
        {
            json.WriteStartArray("tool_calls");
            foreach (AssistantToolCall call in message.ToolCalls)
                WriteCall(json, null, call.Id, call.Name, call.Arguments);
            json.WriteEndArray();
        }

        json.WriteEndObject();
        WriteChoiceEnd(json, answer.End!.Reason, answer.Tokens);
    }

    protected override void AddDeltas(ServerSentEvents events, int index, JobStep step)
    {
        foreach (OutputDelta delta in step.Deltas)
        {
            AddChunk(events, index, null, json =>
            {
                json.WriteStartObject("delta");
                Write(json, delta);
                json.WriteEndObject();
            });
        }
    }

    protected override void AddEnd(ServerSentEvents events, int index, JobEnd end) => AddChunk(events, index, end.Reason, json =>
    {
        json.WriteStartObject("delta");
        json.WriteEndObject();
    });

    protected override void WriteLogprobs(Utf8JsonWriter json, List<AnswerToken> tokens)
    {
        json.WriteStartArray("content");
        foreach (AnswerToken token in tokens)
        {
            json.WriteStartObject();
            _names.Write(json, token.Id, token.Logprobs!.Logprob);
            _names.WriteTop(json, "top_logprobs", token.Logprobs);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteNull("refusal");
    }

    protected override void WriteExtras(Utf8JsonWriter json)
    {
        if (Head.ReturnTokenIds)
            WriteIds(json, "prompt_token_ids", Jobs[0].Generation.Prompt.Span);
    }

    protected override void WriteUsageDetails(Utf8JsonWriter json, TokenUsage usage)
    {
        json.WriteStartObject("completion_tokens_details");
        json.WriteNumber("reasoning_tokens", usage.Reasoning);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, OutputDelta delta)
    {
        switch (delta.Kind)
        {
            case OutputKind.Reasoning:
                json.WriteString("reasoning_content", delta.Text);
                break;
            case OutputKind.Content:
                json.WriteString("content", delta.Text);
                break;
            default:
                json.WriteStartArray("tool_calls");
                WriteCall(json, delta.Index, delta.Id, delta.Name, delta.Text);
                json.WriteEndArray();
                break;
        }
    }

    private static void WriteCall(Utf8JsonWriter json, int? index, string? id, string? name, string arguments)
    {
        json.WriteStartObject();
        if (index is { } number)
            json.WriteNumber("index", number);
        if (id is not null)
        {
            json.WriteString("id", id);
            json.WriteString("type", "function");
        }

        json.WriteStartObject("function");
        if (name is not null)
            json.WriteString("name", name);
        json.WriteString("arguments", arguments);
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
