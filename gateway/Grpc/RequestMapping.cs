using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Google.Protobuf.Collections;
using K2Cluster.Engine;
using K2Cluster.Gateway.Serving;
using K2Cluster.Protocol.V1;
using K2Cluster.Text;
using ChatMessage = K2Cluster.Text.ChatMessage;
using FinishReason = K2Cluster.Protocol.V1.FinishReason;

namespace K2Cluster.Gateway.Grpc;

/// <summary>Between the messages of the protocol and the types of the serving layer. In proto3, absent and empty are one for text.</summary>
internal static class RequestMapping
{
    private static readonly JsonDocumentOptions ToolOptions = new() { MaxDepth = 64, AllowDuplicateProperties = false };

    public static GenerationSettings Settings(GenerationOptions? options, Protocol.V1.TokenIds? generated, uint choice, DateTime deadline, TimeProvider time)
    {
        options ??= new GenerationOptions();
        return new GenerationSettings
        {
            MaxTokens = options.HasMaxTokens ? (int)Math.Min(options.MaxTokens, int.MaxValue) : null,
            Temperature = options.HasTemperature ? options.Temperature : null,
            TopP = options.HasTopP ? options.TopP : null,
            TopK = (int)Math.Min(options.TopK, int.MaxValue),
            MinP = options.MinP,
            RepetitionPenalty = options.HasRepetitionPenalty ? options.RepetitionPenalty : null,
            PresencePenalty = options.PresencePenalty,
            FrequencyPenalty = options.FrequencyPenalty,
            LogitBias = options.LogitBias.Select(entry => new TokenBias((int)Math.Min(entry.Key, int.MaxValue), entry.Value)).ToArray(),
            StopTokenIds = Ids(options.StopTokenIds, "stop_token_ids"),
            MinTokens = (int)Math.Min(options.MinTokens, int.MaxValue),
            TopLogprobs = options.HasLogprobs ? (int)Math.Min(options.Logprobs, int.MaxValue) : null,
            Choices = options.N == 0 ? 1 : (int)Math.Min(options.N, int.MaxValue),
            FirstChoice = (int)Math.Min(choice, int.MaxValue),
            Generated = generated is null ? null : Ids(generated.Ids, "generated"),
            Priority = options.Priority,
            Seed = options.HasSeed ? options.Seed : null,
            Stops = options.Stop,
            IgnoreEos = options.IgnoreEos,
            ReturnTokenIds = options.ReturnTokenIds,
            TimeLimit = TimeLimit(deadline, time),
        };
    }

    public static ChatConversation Chat(Conversation conversation, bool addGenerationPrompt) => new(
        [.. conversation.Messages.Select(Message)],
        conversation.ToolChoice == ToolChoice.None ? [] : [.. conversation.Tools.Select(Tool)],
        addGenerationPrompt);

    public static int[] Ids(IReadOnlyList<uint> given, string parameter)
    {
        int[] ids = new int[given.Count];
        for (int i = 0; i < ids.Length; i++)
            ids[i] = given[i] <= int.MaxValue ? (int)given[i] : throw RequestException.Invalid($"{parameter}[{i}]", $"'{parameter}[{i}]' is {given[i]}, which is no token id.");
        return ids;
    }

    public static Started Started(ServedModel model, GenerationJob job, GenerationSettings settings)
    {
        Started started = new()
        {
            RequestId = job.Generation.Id,
            Model = model.Name,
            Seed = job.Generation.Sampling.Seed,
            PromptTokens = (uint)job.Generation.Prompt.Length,
        };
        if (settings.ReturnTokenIds)
        {
            foreach (int id in job.Generation.Prompt.Span)
                started.PromptTokenIds.Add((uint)id);
        }

        return started;
    }

    /// <summary>Puts what was asked for of the tokens into an event.</summary>
    public static void Attach(IReadOnlyList<AnswerToken> tokens, GenerationSettings settings, ServedModel model, RepeatedField<uint> ids, RepeatedField<Protocol.V1.TokenLogprobs> logprobs)
    {
        foreach (AnswerToken token in tokens)
        {
            if (settings.ReturnTokenIds)
                ids.Add((uint)token.Id);
            if (token.Logprobs is not { } given)
                continue;
            Protocol.V1.TokenLogprobs mapped = new() { Chosen = Logprob(token.Id, given.Logprob, model) };
            mapped.Top.AddRange(given.Top.Select(entry => Logprob(entry.Token, entry.Logprob, model)));
            logprobs.Add(mapped);
        }
    }

    public static Finished Finished(JobEnd end) => new()
    {
        Reason = end.Reason switch
        {
            EndReason.Length => FinishReason.Length,
            EndReason.ToolCalls => FinishReason.ToolCalls,
            _ => FinishReason.Stop,
        },
        Stop = end.Stop ?? "",
        Usage = new Usage
        {
            PromptTokens = (uint)end.Usage.Prompt,
            CompletionTokens = (uint)end.Usage.Completion,
            ReasoningTokens = (uint)end.Usage.Reasoning,
            CachedTokens = (uint)end.Usage.Cached,
        },
    };

    private static Protocol.V1.TokenLogprob Logprob(int token, float logprob, ServedModel model) => new()
    {
        TokenId = (uint)token,
        Logprob = OpenAi.TokenNames.Finite(logprob),
        Text = model.Tokenizer is { } tokenizer ? ByteString.CopyFrom(tokenizer.Bytes(token)) : ByteString.Empty,
    };

    /// <summary>What is left until the call's deadline, at most what a request may have; null where it has none.</summary>
    private static TimeSpan? TimeLimit(DateTime deadline, TimeProvider time)
    {
        if (deadline == DateTime.MaxValue)
            return null;
        TimeSpan left = deadline.ToUniversalTime() - time.GetUtcNow().UtcDateTime;
        if (left <= TimeSpan.Zero)
            throw new RequestException(RequestFault.TimedOut, "The call's deadline has passed.", code: "timeout");
        return left < Admission.MaxTimeLimit ? left : Admission.MaxTimeLimit;
    }

    private static ChatMessage Message(Protocol.V1.ChatMessage message, int index)
    {
        string path = $"conversation.messages[{index}]";
        if (message.Role.Length == 0)
            throw RequestException.Invalid($"{path}.role", $"'{path}.role' is required.");
        if (message.Role == "tool" && message.ToolCallId.Length == 0)
            throw RequestException.Invalid($"{path}.tool_call_id", $"'{path}.tool_call_id' is required: the call that the tool answers.");
        bool assistant = message.Role == "assistant";
        return new ChatMessage
        {
            Role = message.Role,
            Name = message.Name.Length > 0 ? message.Name : null,
            Content = message.Content.Length > 0 ? [new ContentPart(message.Content)] : [],
            ReasoningContent = assistant ? message.ReasoningContent : null,
            ToolCalls = assistant ? [.. message.ToolCalls.Select((call, i) => Call(call, $"{path}.tool_calls[{i}]"))] : [],
            ToolCallId = message.Role == "tool" ? message.ToolCallId : null,
        };
    }

    private static ChatToolCall Call(ToolCall call, string path)
    {
        if (call.Id.Length == 0 || call.Name.Length == 0)
            throw RequestException.Invalid(path, $"'{path}' needs an id and a name.");
        return new ChatToolCall(call.Id, call.Name, JsonSerializer.SerializeToElement(call.Arguments.Length == 0 ? "{}" : call.Arguments));
    }

    /// <summary>A declaration as the HTTP API has it, which is what the template renders.</summary>
    private static JsonElement Tool(Tool tool, int index)
    {
        string path = $"conversation.tools[{index}]";
        if (tool.Name.Length == 0)
            throw RequestException.Invalid($"{path}.name", $"'{path}.name' is required.");
        JsonObject function = new() { ["name"] = tool.Name };
        if (tool.Description.Length > 0)
            function["description"] = tool.Description;
        if (tool.Parameters.Length > 0)
            function["parameters"] = Schema(tool.Parameters, $"{path}.parameters");
        JsonObject declaration = new() { ["type"] = "function", ["function"] = function };
        return JsonSerializer.SerializeToElement(declaration);
    }

    private static JsonNode Schema(string text, string path)
    {
        try
        {
            // Parsed as the HTTP API parses bodies: a schema holds no half characters and no name twice.
            using OpenAi.JsonBody body = OpenAi.JsonBody.Parse(System.Text.Encoding.UTF8.GetBytes(text));
            return JsonNode.Parse(text, documentOptions: ToolOptions)!;
        }
        catch (Exception error) when (error is RequestException or JsonException)
        {
            throw RequestException.Invalid(path, $"'{path}' is not a JSON object: {error.Message}");
        }
    }
}
