using System.Text;

namespace K2Cluster.Text.Output;

/// <summary>A call in an <see cref="AssistantMessage"/>.</summary>
public sealed class AssistantToolCall
{
    private readonly StringBuilder _arguments = new();

    internal AssistantToolCall(string id, string name) => (Id, Name) = (id, name);

    public string Id { get; }

    public string Name { get; }

    /// <summary>The JSON text as the model wrote it; cut off where the token limit cut the call.</summary>
    public string Arguments => _arguments.ToString();

    internal void Add(string text) => _arguments.Append(text);
}
