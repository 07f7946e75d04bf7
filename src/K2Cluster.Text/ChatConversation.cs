using System.Text.Json;

namespace K2Cluster.Text;

/// <summary>What the chat template renders.</summary>
/// <param name="Messages">In order.</param>
/// <param name="Tools">The tools array as declared, any JSON; empty when there are none.</param>
/// <param name="AddGenerationPrompt">Whether to open the assistant's turn at the end.</param>
public sealed record ChatConversation(IReadOnlyList<ChatMessage> Messages, IReadOnlyList<JsonElement> Tools, bool AddGenerationPrompt = true);

/// <summary>One message. Absent and null are the same everywhere.</summary>
public sealed record ChatMessage
{
    public required string Role { get; init; }

    /// <summary>Replaces the role in the header when it is not empty.</summary>
    public string? Name { get; init; }

    /// <summary>The parts of the content in order; a plain string is one text part, null none.</summary>
    public IReadOnlyList<ContentPart> Content { get; init; } = [];

    public string? ReasoningContent { get; init; }

    public IReadOnlyList<ChatToolCall> ToolCalls { get; init; } = [];

    public string? ToolCallId { get; init; }
}

/// <summary>A text part, or (Text null) an image, which the template renders as a placeholder.</summary>
public readonly record struct ContentPart(string? Text);

/// <summary>A call in an assistant message. Arguments: the JSON text as given, or an element to be rendered.</summary>
public sealed record ChatToolCall(string Id, string Name, JsonElement Arguments);
