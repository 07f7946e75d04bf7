namespace K2Cluster.Checkpoint;

/// <summary>A checkpoint that cannot be used. The message names the file, the tensor or key, and what to do.</summary>
public sealed class CheckpointException : Exception
{
    public CheckpointException(string message)
        : base(message)
    {
    }

    public CheckpointException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
