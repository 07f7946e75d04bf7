using K2Cluster.Text.Output;

namespace K2Cluster.Gateway.Serving;

/// <summary>The fold of a job's steps: what a client that does not stream gets.</summary>
internal sealed class Answer
{
    public AssistantMessage Message { get; } = new();

    public List<AnswerToken> Tokens { get; } = [];

    /// <summary>Set once the last step was added.</summary>
    public JobEnd? End { get; private set; }

    public void Add(JobStep step)
    {
        Tokens.Add(step.Token);
        End = step.End ?? End;
        foreach (OutputDelta delta in step.Deltas)
            Message.Add(delta);
    }
}
