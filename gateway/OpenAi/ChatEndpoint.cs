using System.Text.Json;
using K2Cluster.Gateway.Serving;
using K2Cluster.Text;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>POST /v1/chat/completions.</summary>
internal static class ChatEndpoint
{
    public static async Task HandleAsync(HttpContext http, ModelGate gate, TimeProvider time, RequestScope scope)
    {
        ServedModel model = scope.Enter(gate);
        AnswerHead head;
        GenerationJob[] jobs;
        using (JsonBody body = await JsonBody.ReadAsync(http.Request))
        {
            JsonFields fields = body.Fields;
            model.CheckName(fields.String("model"));
            GenerationSettings settings = SettingsReader.Read(fields) with { TopLogprobs = SettingsReader.ReadChatLogprobs(fields) };
            bool withTools = ReadToolChoice(fields);
            ChatConversation conversation = ConversationReader.Read(fields, withTools, addGenerationPrompt: true);
            head = AnswerHeadReader.Read(fields, "chatcmpl-", model, settings, time);
            jobs = new Admission(model).Chat(head.Id, conversation, withTools, settings);
        }

        await GenerationEndpoint.RespondAsync(http, model, head, jobs, new ChatFormat(head, jobs, model.Tokenizer), scope);
    }

    /// <summary>Whether the model may call tools.</summary>
    private static bool ReadToolChoice(JsonFields body)
    {
        string? choice = body.Any("tool_choice") switch
        {
            null => "auto",
            { ValueKind: JsonValueKind.String } name => name.GetString(),
            { ValueKind: JsonValueKind.Object } => "required",
            { } other => throw JsonFields.Mismatch("tool_choice", "a string or an object", other),
        };
        return choice switch
        {
            "auto" => true,
            "none" => false,
            "required" => throw SettingsReader.Refusal("tool_choice", "'tool_choice' that requires a call is not supported before tool calls are enforced while tokens are chosen; use 'auto' or 'none'."),
            _ => throw RequestException.Invalid("tool_choice", $"'tool_choice' is '{Excerpt.Of(choice!)}'; it must be 'auto' or 'none'."),
        };
    }
}
