using System.Text.Json;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>What an answer says of itself, and which extras its client asked for.</summary>
/// <param name="Id">chatcmpl-… or cmpl-….</param>
/// <param name="Model">The served model's name.</param>
/// <param name="Created">When the request was admitted.</param>
/// <param name="Stream">Server-sent events instead of one document.</param>
/// <param name="IncludeUsage">Whether a stream ends with the usage.</param>
/// <param name="ReturnTokenIds">Whether token ids go with the text.</param>
internal sealed record AnswerHead(string Id, string Model, DateTimeOffset Created, bool Stream, bool IncludeUsage, bool ReturnTokenIds);

/// <summary>Writes answers as OpenAI's API has them: whole, or in chunks as their steps come.</summary>
internal abstract class AnswerFormat(AnswerHead head, IReadOnlyList<GenerationJob> jobs)
{
    private readonly List<AnswerToken>[] _unsent = [.. jobs.Select(_ => new List<AnswerToken>())];
    private readonly bool _withLogprobs = jobs[0].Generation.Sampling.TopLogprobs is not null;

    protected AnswerHead Head { get; } = head;

    protected IReadOnlyList<GenerationJob> Jobs { get; } = jobs;

    protected abstract string Kind { get; }

    protected virtual string ChunkKind => Kind;

    /// <summary>One document with every choice.</summary>
    public void WriteWhole(Utf8JsonWriter json, IReadOnlyList<Answer> answers)
    {
        TokenUsage usage = default;
        WriteStart(json, Kind);
        json.WriteStartArray("choices");
        for (int i = 0; i < answers.Count; i++)
        {
            usage += answers[i].End!.Usage;
            WriteChoice(json, i, answers[i]);
        }

        json.WriteEndArray();
        WriteUsage(json, usage);
        WriteExtras(json);
        json.WriteEndObject();
    }

    /// <summary>The chunks before the first step.</summary>
    public abstract void Begin(ServerSentEvents events);

    /// <summary>The chunks that a step gives.</summary>
    public void Add(ServerSentEvents events, int index, JobStep step)
    {
        _unsent[index].Add(step.Token);
        AddDeltas(events, index, step);
        if (step.End is { } end)
            AddEnd(events, index, end);
    }

    /// <summary>The chunk after the last step, when it was asked for.</summary>
    public void AddUsage(ServerSentEvents events, TokenUsage usage)
    {
        if (!Head.IncludeUsage)
            return;
        events.Add(json =>
        {
            WriteStart(json, ChunkKind);
            json.WriteStartArray("choices");
            json.WriteEndArray();
            WriteUsage(json, usage);
            json.WriteEndObject();
        });
    }

    public static string Name(EndReason reason) => reason switch
    {
        EndReason.Length => "length",
        EndReason.ToolCalls => "tool_calls",
        _ => "stop",
    };

    protected abstract void WriteChoice(Utf8JsonWriter json, int index, Answer answer);

    protected abstract void AddDeltas(ServerSentEvents events, int index, JobStep step);

    protected abstract void AddEnd(ServerSentEvents events, int index, JobEnd end);

    /// <summary>Members of the whole document, and of a stream's first chunk, beyond the choices.</summary>
    protected virtual void WriteExtras(Utf8JsonWriter json)
    {
    }

    /// <summary>A chunk with one choice, and the tokens since the last one.</summary>
    protected void AddChunk(ServerSentEvents events, int index, EndReason? reason, Action<Utf8JsonWriter> writeDelta, Action<Utf8JsonWriter>? writeExtras = null) => events.Add(json =>
    {
        WriteStart(json, ChunkKind);
        json.WriteStartArray("choices");
        WriteChoiceStart(json, index);
        writeDelta(json);
        WriteChoiceEnd(json, reason, _unsent[index]);
        _unsent[index].Clear();
        json.WriteEndArray();
        if (Head.IncludeUsage)
            json.WriteNull("usage");
        writeExtras?.Invoke(json);
        json.WriteEndObject();
    });

    protected static void WriteChoiceStart(Utf8JsonWriter json, int index)
    {
        json.WriteStartObject();
        json.WriteNumber("index", index);
    }

    protected void WriteChoiceEnd(Utf8JsonWriter json, EndReason? reason, List<AnswerToken> tokens)
    {
        if (_withLogprobs && tokens.Count > 0)
        {
            json.WriteStartObject("logprobs");
            WriteLogprobs(json, tokens);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("logprobs");
        }

        json.WriteString("finish_reason", reason is { } why ? Name(why) : null);
        if (Head.ReturnTokenIds)
        {
            json.WriteStartArray("token_ids");
            foreach (AnswerToken token in tokens)
                json.WriteNumberValue(token.Id);
            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    /// <summary>The members of "logprobs": of all tokens, those of reasoning, tool calls and the end among them.</summary>
    protected abstract void WriteLogprobs(Utf8JsonWriter json, List<AnswerToken> tokens);

    protected static void WriteIds(Utf8JsonWriter json, string name, ReadOnlySpan<int> ids)
    {
        json.WriteStartArray(name);
        foreach (int id in ids)
            json.WriteNumberValue(id);
        json.WriteEndArray();
    }

    protected virtual void WriteUsageDetails(Utf8JsonWriter json, TokenUsage usage)
    {
    }

    private void WriteStart(Utf8JsonWriter json, string kind)
    {
        json.WriteStartObject();
        json.WriteString("id", Head.Id);
        json.WriteString("object", kind);
        json.WriteNumber("created", Head.Created.ToUnixTimeSeconds());
        json.WriteString("model", Head.Model);
    }

    private void WriteUsage(Utf8JsonWriter json, TokenUsage usage)
    {
        json.WriteStartObject("usage");
        json.WriteNumber("prompt_tokens", usage.Prompt);
        json.WriteNumber("completion_tokens", usage.Completion);
        json.WriteNumber("total_tokens", (long)usage.Prompt + usage.Completion);
        json.WriteStartObject("prompt_tokens_details");
        json.WriteNumber("cached_tokens", usage.Cached);
        json.WriteEndObject();
        WriteUsageDetails(json, usage);
        json.WriteEndObject();
    }
}
