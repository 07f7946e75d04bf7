using System.Text.Json;
using K2Cluster.Gateway.Serving;
using K2Cluster.Text;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>Messages and tools of a body, as the chat template takes them.</summary>
internal static class ConversationReader
{
    private static readonly JsonElement NoArguments = JsonElement.Parse("\"{}\"");

    public static ChatConversation Read(JsonFields body, bool withTools, bool addGenerationPrompt)
    {
        body.Required("messages");
        return new ChatConversation(
            [.. body.Items("messages").Select(item => ReadMessage(JsonFields.Of(item.Item, item.Path)))],
            [.. ReadTools(body).Where(_ => withTools)],
            addGenerationPrompt);
    }

    private static ChatMessage ReadMessage(JsonFields message)
    {
        string role = message.RequiredString("role");
        if (role.Length == 0)
            throw RequestException.Invalid(message.Path("role"), $"'{message.Path("role")}' is empty.");
        bool assistant = role == "assistant";
        return new ChatMessage
        {
            Role = role,
            Name = message.String("name"),
            Content = ReadContent(message, required: !assistant),
            ReasoningContent = assistant ? message.String("reasoning_content") ?? message.String("reasoning") : null,
            ToolCalls = assistant ? [.. message.Items("tool_calls").Select(item => ReadToolCall(JsonFields.Of(item.Item, item.Path)))] : [],
            ToolCallId = role == "tool" ? message.RequiredString("tool_call_id") : null,
        };
    }

    private static ContentPart[] ReadContent(JsonFields message, bool required)
    {
        JsonElement? content = required ? message.Required("content") : message.Any("content");
        return content switch
        {
            null => [],
            { ValueKind: JsonValueKind.String } text => [new ContentPart(text.GetString())],
            { ValueKind: JsonValueKind.Array } parts => [.. JsonFields.ItemsOf(parts, message.Path("content")).Select(item => ReadPart(JsonFields.Of(item.Item, item.Path)))],
            { } other => throw JsonFields.Mismatch(message.Path("content"), "a string or an array of parts", other),
        };
    }

    private static ContentPart ReadPart(JsonFields part)
    {
        string type = part.RequiredString("type");
        return type == "text" ? new ContentPart(part.RequiredString("text"))
            : throw SettingsReader.Refusal(part.Path("type"), $"'{part.Path("type")}' is '{Excerpt.Of(type)}'; this model reads text only.");
    }

    private static ChatToolCall ReadToolCall(JsonFields call)
    {
        CheckFunction(call);
        JsonFields function = JsonFields.Of(call.Required("function"), call.Path("function"));
        JsonElement arguments = function.Any("arguments") ?? NoArguments;
        if (arguments.ValueKind is not (JsonValueKind.String or JsonValueKind.Object))
            throw JsonFields.Mismatch(function.Path("arguments"), "a string of JSON or an object", arguments);
        return new ChatToolCall(call.RequiredString("id"), ReadName(function), arguments);
    }

    private static IEnumerable<JsonElement> ReadTools(JsonFields body)
    {
        foreach ((JsonElement item, string path) in body.Items("tools"))
        {
            JsonFields tool = JsonFields.Of(item, path);
            CheckFunction(tool);
            ReadName(JsonFields.Of(tool.Required("function"), tool.Path("function")));
            yield return item;
        }
    }

    private static void CheckFunction(JsonFields owner)
    {
        if (owner.String("type") is { } type and not "function")
            throw SettingsReader.Refusal(owner.Path("type"), $"'{owner.Path("type")}' is '{Excerpt.Of(type)}'; only 'function' is taken.");
    }

    private static string ReadName(JsonFields function)
    {
        string name = function.RequiredString("name");
        return name.Length > 0 ? name : throw RequestException.Invalid(function.Path("name"), $"'{function.Path("name")}' is empty.");
    }
}
