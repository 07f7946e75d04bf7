using System.Text.Json;
using K2Cluster.Text.Template;

namespace K2Cluster.Text;

/// <summary>
/// Kimi K2 Thinking's chat template, by rule: the Jinja template of the published checkpoint since "fix-default-system-prompt".
/// A null that Jinja would print as "None" is nothing here.
/// </summary>
public static class ChatTemplate
{
    private const string DefaultSystemPrompt = "You are Kimi, an AI assistant created by Moonshot AI.";

    private const string System = "<|im_system|>";
    private const string User = "<|im_user|>";
    private const string Assistant = "<|im_assistant|>";
    private const string Middle = "<|im_middle|>";
    private const string End = "<|im_end|>";

    /// <summary>The text that the published Jinja template gives.</summary>
    /// <exception cref="ChatTemplateException">JSON of a tool or of arguments is nested too deeply.</exception>
    public static string Render(ChatConversation conversation) => Write(conversation).ToString();

    /// <summary>
    /// The prompt's ids: control tokens only where the template puts one, everything else plain text; a control token that the
    /// vocabulary lacks is plain text too. Without special-token strings in the conversation these are the ids of the rendered text.
    /// </summary>
    /// <exception cref="ChatTemplateException">JSON of a tool or of arguments is nested too deeply.</exception>
    public static int[] Encode(ChatConversation conversation, K2Tokenizer tokenizer) => tokenizer.Encode(Write(conversation));

    private static PromptText Write(ChatConversation conversation)
    {
        PromptText prompt = new();
        IReadOnlyList<ChatMessage> messages = conversation.Messages;
        if (conversation.Tools.Count > 0)
        {
            prompt.Control(System).Plain("tool_declare").Control(Middle);
            PythonJson.WriteTools(conversation.Tools, prompt.PlainText);
            prompt.Control(End);
        }

        if (messages.Count == 0 || messages[0].Role != "system")
            prompt.Control(System).Plain("system").Control(Middle).Plain(DefaultSystemPrompt).Control(End);

        int lastAnswer = LastAnswer(messages);
        for (int index = 0; index < messages.Count; index++)
            WriteMessage(messages[index], inHistory: index <= lastAnswer, prompt);

        if (conversation.AddGenerationPrompt)
            prompt.Control(Assistant).Plain("assistant").Control(Middle);
        return prompt;
    }

    // Reasoning is kept only after the last answer that was no tool call: in the loop that is still running.
    private static int LastAnswer(IReadOnlyList<ChatMessage> messages)
    {
        int index = messages.Count - 1;
        while (index >= 0 && (messages[index].Role != "assistant" || messages[index].ToolCalls.Count > 0))
            index--;

        return index;
    }

    private static void WriteMessage(ChatMessage message, bool inHistory, PromptText prompt)
    {
        prompt.Control(message.Role switch { "user" => User, "assistant" => Assistant, _ => System })
            .Plain(string.IsNullOrEmpty(message.Name) ? message.Role : message.Name)
            .Control(Middle);

        switch (message.Role)
        {
            case "assistant":
                prompt.Control("<think>").Plain(inHistory ? null : message.ReasoningContent).Control("</think>");
                WriteContent(message.Content, prompt);
                WriteToolCalls(message.ToolCalls, prompt);
                break;
            case "tool":
                prompt.Plain("## Return of ").Plain(message.ToolCallId).Plain("\n");
                WriteContent(message.Content, prompt);
                break;
            default:
                WriteContent(message.Content, prompt);
                break;
        }

        prompt.Control(End);
    }

    private static void WriteContent(IReadOnlyList<ContentPart> parts, PromptText prompt)
    {
        foreach (ContentPart part in parts)
        {
            if (part.Text is { } text)
                prompt.Plain(text);
            else
                // The template's own words, though no K2 vocabulary has a token <|media_start|>.
                prompt.Control("<|media_start|>").Plain("image").Control("<|media_content|>").Control("<|media_pad|>").Control("<|media_end|>").Plain("\n");
        }
    }

    private static void WriteToolCalls(IReadOnlyList<ChatToolCall> calls, PromptText prompt)
    {
        if (calls.Count == 0)
            return;

        prompt.Control("<|tool_calls_section_begin|>");
        foreach (ChatToolCall call in calls)
        {
            prompt.Control("<|tool_call_begin|>").Plain(call.Id).Control("<|tool_call_argument_begin|>");
            if (call.Arguments.ValueKind == JsonValueKind.String)
                prompt.Plain(PythonJson.Text(call.Arguments));
            else if (call.Arguments.ValueKind != JsonValueKind.Undefined)
                PythonJson.WriteArguments(call.Arguments, prompt.PlainText);
            prompt.Control("<|tool_call_end|>");
        }

        prompt.Control("<|tool_calls_section_end|>");
    }
}
