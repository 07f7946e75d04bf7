namespace K2Cluster.Engine;

/// <summary>The queue of waiting requests is full.</summary>
public sealed class EngineBusyException(string message, TimeSpan retryAfter) : Exception(message)
{
    /// <summary>When a place is likely to be free.</summary>
    public TimeSpan RetryAfter { get; } = retryAfter;
}

/// <summary>A request that was accepted and could not be finished.</summary>
public sealed class GenerationException(GenerationFailure failure, string message, Exception? inner = null) : Exception(message, inner)
{
    public GenerationFailure Failure { get; } = failure;
}

public enum GenerationFailure
{
    /// <summary>Its time limit passed.</summary>
    TimedOut,

    /// <summary>The model failed on it in a way that a replay would meet again.</summary>
    Failed,

    /// <summary>The engine is shutting down.</summary>
    Stopped,
}
