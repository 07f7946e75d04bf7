using System.Text;

namespace K2Cluster.Text.Output;

/// <summary>
/// A message as its deltas add up: what a client that does not stream gets is by construction what one that streams can build.
/// </summary>
public sealed class AssistantMessage
{
    private readonly StringBuilder _reasoning = new();
    private readonly StringBuilder _content = new();
    private readonly List<AssistantToolCall> _toolCalls = [];

    /// <summary>Null when there was none.</summary>
    public string? Reasoning => _reasoning.Length > 0 ? _reasoning.ToString() : null;

    /// <summary>Null when there was none.</summary>
    public string? Content => _content.Length > 0 ? _content.ToString() : null;

    public IReadOnlyList<AssistantToolCall> ToolCalls => _toolCalls;

    public void Add(OutputDelta delta)
    {
        switch (delta.Kind)
        {
            case OutputKind.Reasoning:
                _reasoning.Append(delta.Text);
                break;
            case OutputKind.Content:
                _content.Append(delta.Text);
                break;
            case OutputKind.ToolCall:
                _toolCalls.Add(new AssistantToolCall(delta.Id!, delta.Name!));
                break;
            case OutputKind.ToolArguments:
                _toolCalls[delta.Index].Add(delta.Text);
                break;
        }
    }
}
