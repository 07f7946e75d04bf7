using K2Cluster.Engine;
using K2Cluster.Text;

namespace K2Cluster.Gateway.Serving;

/// <summary>Turns what either API read into jobs that the engine takes, or says what is wrong. One for each request: its jobs share a seed.</summary>
internal sealed class Admission(ServedModel model)
{
    /// <summary>Most stop strings, and most characters in one.</summary>
    public const int MaxStops = 16;

    private const int MaxStopLength = 1024;

    /// <summary>OpenAI's default for raw completions.</summary>
    private const int DefaultCompletionTokens = 16;

    /// <summary>
    /// Most tokens of an answer whose request states none. The scheduler sets the pages of a request's most tokens aside, so the
    /// whole context would let few run at once. Long thoughts of Kimi K2 Thinking fit; whoever wants more says so.
    /// </summary>
    public const int DefaultChatTokens = 8192;

    public static readonly TimeSpan DefaultTimeLimit = TimeSpan.FromMinutes(10);

    public static readonly TimeSpan MaxTimeLimit = TimeSpan.FromHours(1);

    private readonly ulong _drawn = (ulong)Random.Shared.NextInt64();

    public ServedModel Model { get; } = model;

    /// <summary>An answer to a conversation.</summary>
    public GenerationJob Chat(string id, ChatConversation conversation, bool allowToolCalls, GenerationSettings settings)
    {
        RefuseHopeless(conversation.Messages.Sum(message => message.Content.Sum(part => part.Text?.Length ?? 0L)), "messages");
        int[] prompt = Render(conversation);
        AnswerKind kind = allowToolCalls ? AnswerKind.Message : AnswerKind.MessageWithoutTools;
        return Job(id, prompt, "messages", kind, settings) with { EarlierCalls = conversation.Messages.Sum(message => message.ToolCalls.Count) };
    }

    /// <summary>A continuation of text or ids; of several in one request each is a choice of its own.</summary>
    public GenerationJob Completion(string id, Prompt prompt, GenerationSettings settings, int choice = 0)
    {
        if (Model.Tokenizer is null && !settings.ReturnTokenIds)
            Model.TokenizerFor("return_token_ids");
        if (prompt.Ids is { } given)
            CheckIds(given, prompt.Parameter);
        RefuseHopeless(prompt.Text?.Length ?? 0, prompt.Parameter);
        ReadOnlyMemory<int> ids = prompt.Ids ?? Encode(prompt.Text!, prompt.Parameter);
        AnswerKind kind = Model.Tokenizer is null ? AnswerKind.Tokens : AnswerKind.Text;
        return Job(id, ids, prompt.Parameter, kind, settings with { MaxTokens = settings.MaxTokens ?? DefaultCompletionTokens }, choice);
    }

    /// <summary>The prompt of a conversation, its historical tool call ids as the model knows them.</summary>
    public int[] Render(ChatConversation conversation)
    {
        K2Tokenizer tokenizer = Model.TokenizerFor("messages");
        if (conversation.Messages.Count == 0)
            throw RequestException.Invalid("messages", "'messages' is empty; a conversation needs at least one message.");
        try
        {
            return ChatTemplate.Encode(conversation with { Messages = ToolCallIds.Normalise(conversation.Messages) }, tokenizer);
        }
        catch (ChatTemplateException error)
        {
            throw RequestException.Invalid("messages", error.Message);
        }
    }

    /// <summary>The ids of a raw prompt, in which the names of special tokens become control tokens.</summary>
    public int[] Encode(string text, string parameter) => [.. Model.TokenizerFor(parameter).Encode(text, parseSpecial: true)];

    /// <summary>The text of ids.</summary>
    public string Decode(int[] ids, string parameter)
    {
        K2Tokenizer tokenizer = Model.TokenizerFor(parameter);
        CheckIds(ids, parameter);
        return tokenizer.Decode(ids);
    }

    private void CheckIds(ReadOnlyMemory<int> ids, string parameter)
    {
        ReadOnlySpan<int> span = ids.Span;
        for (int i = 0; i < span.Length; i++)
        {
            if ((uint)span[i] >= (uint)Model.Engine.VocabularySize)
                throw RequestException.Invalid($"{parameter}[{i}]", $"'{parameter}[{i}]' is {span[i]}; the vocabulary has ids 0 to {Model.Engine.VocabularySize - 1}.");
        }
    }

    /// <summary>Refuses a text of which already the length says that it does not fit, before seconds go into encoding it.</summary>
    private void RefuseHopeless(long characters, string parameter)
    {
        // A character is a byte at least.
        if (Model.Tokenizer is not null && characters / Model.LongestToken >= Model.Engine.MaxContext)
            throw TooLong(parameter, $"more than {characters / Model.LongestToken} in '{parameter}'");
    }

    private RequestException TooLong(string parameter, string asked) => RequestException.Invalid(
        parameter, $"This model's maximum context length is {Model.Engine.MaxContext} tokens, but the request has {asked}.", "context_length_exceeded");

    private GenerationJob Job(string id, ReadOnlyMemory<int> prompt, string parameter, AnswerKind kind, GenerationSettings settings, int choice = 0)
    {
        CheckSettings(settings);
        int context = Model.Engine.MaxContext;
        if (prompt.IsEmpty)
            throw RequestException.Invalid(parameter, $"'{parameter}' is empty; the prompt needs at least one token.");
        int left = context - prompt.Length;
        if (left < (settings.MaxTokens ?? 1))
        {
            string generate = settings.MaxTokens is { } most ? $"{most}" : "at least 1";
            throw TooLong(left < 1 ? parameter : "max_tokens", $"{prompt.Length} in '{parameter}' and {generate} to generate");
        }

        return new GenerationJob
        {
            Kind = kind,
            Stops = settings.Stops,
            Generation = new GenerationRequest
            {
                Id = id,
                Prompt = prompt,
                MaxTokens = settings.MaxTokens ?? Math.Min(left, DefaultChatTokens),
                Sampling = new SamplingParameters(
                    (float)(settings.Temperature ?? Model.DefaultTemperature),
                    (float)(settings.TopP ?? Model.DefaultTopP),
                    settings.Seed ?? _drawn),
                Choice = choice,
                StopTokens = settings.IgnoreEos ? [] : Model.StopTokens,
                TimeLimit = settings.TimeLimit ?? DefaultTimeLimit,
            },
        };
    }

    private void CheckSettings(GenerationSettings settings)
    {
        if (settings.MaxTokens is < 1)
            throw RequestException.Invalid("max_tokens", $"'max_tokens' is {settings.MaxTokens}; it must be at least 1.");
        if (settings.Temperature is { } temperature && !(temperature >= 0 && temperature <= 2))
            throw RequestException.Invalid("temperature", $"'temperature' is {temperature}; it must be 0 to 2.");
        // Checked as the engine will see it: the smallest doubles are 0 in single precision.
        if (settings.TopP is { } topP && !((float)topP > 0 && topP <= 1))
            throw RequestException.Invalid("top_p", $"'top_p' is {topP}; it must be above 0 and at most 1.");
        if (settings.TimeLimit is { } limit && !(limit > TimeSpan.Zero && limit <= MaxTimeLimit))
            throw RequestException.Invalid("timeout", $"'timeout' is {limit.TotalSeconds:0.###} s; it must be above 0 and at most {MaxTimeLimit.TotalSeconds:0}.");
        if (settings.Stops.Count == 0)
            return;
        Model.TokenizerFor("stop");
        if (settings.Stops.Count > MaxStops)
            throw RequestException.Invalid("stop", $"'stop' has {settings.Stops.Count} strings; at most {MaxStops} are taken.");
        for (int i = 0; i < settings.Stops.Count; i++)
        {
            if (settings.Stops[i].Length is 0 or > MaxStopLength)
                throw RequestException.Invalid($"stop[{i}]", $"'stop[{i}]' has {settings.Stops[i].Length} characters; it must have 1 to {MaxStopLength}.");
        }
    }
}
