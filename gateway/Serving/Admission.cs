using K2Cluster.Engine;
using K2Cluster.Text;

namespace K2Cluster.Gateway.Serving;

/// <summary>Turns what either API read into jobs that the engine takes, or says what is wrong. One for each request: its jobs share a seed.</summary>
internal sealed class Admission(ServedModel model)
{
    /// <summary>OpenAI's default for raw completions.</summary>
    private const int DefaultCompletionTokens = 16;

    public static readonly TimeSpan DefaultTimeLimit = TimeSpan.FromMinutes(10);

    public static readonly TimeSpan MaxTimeLimit = TimeSpan.FromHours(1);

    private readonly ulong _drawn = (ulong)Random.Shared.NextInt64();

    public ServedModel Model { get; } = model;

    /// <summary>The answers to a conversation, as many as are asked for.</summary>
    public GenerationJob[] Chat(string id, ChatConversation conversation, bool allowToolCalls, GenerationSettings settings)
    {
        RefuseHopeless(conversation.Messages.Sum(message => message.Content.Sum(part => part.Text?.Length ?? 0L)), "messages");
        int[] prompt = Render(conversation);
        AnswerKind kind = allowToolCalls ? AnswerKind.Message : AnswerKind.MessageWithoutTools;
        GenerationJob job = Job(id, prompt, "messages", kind, settings) with { EarlierCalls = conversation.Messages.Sum(message => message.ToolCalls.Count) };
        return Choices(job, settings);
    }

    /// <summary>The continuations of text or ids, as many as are asked for; of several prompts in one request, this is the index-th.</summary>
    public GenerationJob[] Completion(string id, Prompt prompt, GenerationSettings settings, int index = 0)
    {
        if (Model.Tokenizer is null && !settings.ReturnTokenIds)
            Model.TokenizerFor("return_token_ids");
        if (prompt.Ids is { } given)
            SettingsCheck.CheckIds(given, prompt.Parameter, Model);
        RefuseHopeless(prompt.Text?.Length ?? 0, prompt.Parameter);
        ReadOnlyMemory<int> ids = prompt.Ids ?? Encode(prompt.Text!, prompt.Parameter);
        AnswerKind kind = Model.Tokenizer is null ? AnswerKind.Tokens : AnswerKind.Text;
        GenerationSettings bounded = settings with { MaxTokens = settings.MaxTokens ?? Math.Max(DefaultCompletionTokens, settings.MinTokens) };
        return Choices(Job(id, ids, prompt.Parameter, kind, bounded, index * settings.Choices), settings);
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
        SettingsCheck.CheckIds(ids, parameter, Model);
        return tokenizer.Decode(ids);
    }

    /// <summary>Refuses a text of which already the length says that it does not fit, before seconds go into encoding it.</summary>
    private void RefuseHopeless(long characters, string parameter)
    {
        // A character is a byte at least.
        if (Model.Tokenizer is not null && characters / Model.LongestToken >= Model.Engine.MaxContext)
            throw TooLong(parameter, $"more than {characters / Model.LongestToken} in '{parameter}'");
    }

    private RequestException TooLong(string parameter, string asked) => RequestException.Invalid(
        parameter, $"The maximum context length here is {Model.Engine.MaxContext} tokens, but the request has {asked}.", "context_length_exceeded");

    private GenerationJob Job(string id, ReadOnlyMemory<int> prompt, string parameter, AnswerKind kind, GenerationSettings settings, int choice = 0)
    {
        SettingsCheck.Check(settings, Model);
        int context = Model.Engine.MaxContext;
        if (prompt.IsEmpty)
            throw RequestException.Invalid(parameter, $"'{parameter}' is empty; the prompt needs at least one token.");
        int left = context - prompt.Length;
        int least = Math.Max(1, settings.MinTokens);
        if (left < (settings.MaxTokens ?? least))
        {
            string generate = settings.MaxTokens is { } most ? $"{most}" : $"at least {least}";
            throw TooLong(left < 1 ? parameter : settings.MaxTokens is null ? "min_tokens" : "max_tokens", $"{prompt.Length} in '{parameter}' and {generate} to generate");
        }

        int mostTokens = settings.MaxTokens ?? left;
        IReadOnlyCollection<int> stopTokens = settings.IgnoreEos ? settings.StopTokenIds : [.. Model.StopTokens.Union(settings.StopTokenIds)];
        CheckUnfinished(settings.Generated, mostTokens, stopTokens);
        return new GenerationJob
        {
            Kind = kind,
            Stops = settings.Stops,
            PromptTokens = prompt.Length,
            Generation = new GenerationRequest
            {
                Id = id,
                Prompt = prompt,
                Generated = settings.Generated,
                MaxTokens = mostTokens,
                Sampling = Sampling(settings),
                Choice = choice,
                // The engine's is the other way round.
                Priority = -settings.Priority,
                StopTokens = stopTokens,
                TimeLimit = settings.TimeLimit ?? DefaultTimeLimit,
            },
        };
    }

    private SamplingParameters Sampling(GenerationSettings settings) => new(
        (float)(settings.Temperature ?? Model.DefaultTemperature),
        (float)(settings.TopP ?? Model.DefaultTopP),
        settings.Seed ?? _drawn)
    {
        TopK = settings.TopK ?? 0,
        MinP = (float)(settings.MinP ?? 0),
        RepetitionPenalty = (float)(settings.RepetitionPenalty ?? 1),
        PresencePenalty = (float)(settings.PresencePenalty ?? 0),
        FrequencyPenalty = (float)(settings.FrequencyPenalty ?? 0),
        LogitBias = settings.LogitBias,
        MinTokens = settings.MinTokens,
        TopLogprobs = settings.TopLogprobs,
    };

    /// <summary>What was generated must leave something to generate.</summary>
    private static void CheckUnfinished(int[]? generated, int most, IReadOnlyCollection<int> stopTokens)
    {
        if (generated?.Length > most)
            throw RequestException.Invalid("generated", $"'generated' has {generated.Length} tokens; the answer may have {most}.");
        if (generated?.Length == most)
            throw WholeAnswer($"has all {most} tokens that the answer may have");
        int end = Array.FindIndex(generated ?? [], stopTokens.Contains);
        if (end >= 0)
            throw WholeAnswer($"has token {generated![end]} at {end}, which ends the answer");
    }

    /// <summary>What a client is told that wants an answer to go on after its end.</summary>
    public static RequestException WholeAnswer(string why) =>
        RequestException.Invalid("generated", $"'generated' {why}: nothing is left to generate. Leave out the last token to get the end again.");

    /// <summary>Several answers to one prompt, which differ by their choice; or the one that goes on. The prompt is counted once, with the first.</summary>
    private static GenerationJob[] Choices(GenerationJob job, GenerationSettings settings) =>
        [.. Enumerable.Range(settings.FirstChoice, settings.Generated is null ? settings.Choices : 1).Select(i => i == 0 ? job : job with
        {
            PromptTokens = 0,
            Generation = job.Generation with { Choice = job.Generation.Choice + i },
        })];
}
