using System.Text.Json;

namespace K2Cluster.Text.Tests;

/// <summary>Conversations as the fixtures write them: OpenAI's messages and tools.</summary>
internal static class Conversations
{
    public static ChatConversation Read(JsonElement conversation) => new(
        [.. conversation.GetProperty("messages").EnumerateArray().Select(Message)],
        conversation.GetProperty("tools") is { ValueKind: JsonValueKind.Array } tools ? [.. tools.EnumerateArray()] : [],
        !conversation.TryGetProperty("add_generation_prompt", out JsonElement open) || open.GetBoolean());

    public static ChatMessage User(string text) => new() { Role = "user", Content = [new ContentPart(text)] };

    private static ChatMessage Message(JsonElement message) => new()
    {
        Role = Text(message, "role")!,
        Name = Text(message, "name"),
        ReasoningContent = Text(message, "reasoning_content"),
        ToolCallId = Text(message, "tool_call_id"),
        Content = message.TryGetProperty("content", out JsonElement content) ? Content(content) : [],
        ToolCalls = message.TryGetProperty("tool_calls", out JsonElement calls) ? [.. calls.EnumerateArray().Select(Call)] : [],
    };

    private static ContentPart[] Content(JsonElement content) => content.ValueKind switch
    {
        JsonValueKind.String => [new ContentPart(content.GetString())],
        JsonValueKind.Array => [.. content.EnumerateArray().Select(part => new ContentPart(Text(part, "text")))],
        _ => [],
    };

    private static ChatToolCall Call(JsonElement call)
    {
        JsonElement function = call.GetProperty("function");
        return new ChatToolCall(Text(call, "id")!, Text(function, "name")!, function.GetProperty("arguments"));
    }

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;
}
