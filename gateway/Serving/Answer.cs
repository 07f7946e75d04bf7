using System.Text;
using K2Cluster.Text.Output;

namespace K2Cluster.Gateway.Serving;

/// <summary>The fold of a job's steps: what a client that does not stream gets.</summary>
internal sealed class Answer
{
    private readonly StringBuilder _reasoning = new();
    private readonly StringBuilder _content = new();
    private readonly List<AnswerCall> _calls = [];

    public string Reasoning => _reasoning.ToString();

    public string Content => _content.ToString();

    public IReadOnlyList<AnswerCall> Calls => _calls;

    public List<int> Tokens { get; } = [];

    /// <summary>Set once the last step was added.</summary>
    public JobEnd? End { get; private set; }

    public void Add(JobStep step)
    {
        Tokens.Add(step.Token);
        End = step.End ?? End;
        foreach (OutputDelta delta in step.Deltas)
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
                    _calls.Add(new AnswerCall(delta.Id!, delta.Name!, new StringBuilder(delta.Text)));
                    break;
                case OutputKind.ToolArguments:
                    _calls[delta.Index].Arguments.Append(delta.Text);
                    break;
            }
        }
    }
}

internal sealed record AnswerCall(string Id, string Name, StringBuilder Arguments);
