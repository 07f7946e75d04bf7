namespace K2Cluster.Engine;

/// <summary>Requests in, tokens out.</summary>
public interface IEngine
{
    /// <summary>Most tokens of prompt and completion together that a request may have here.</summary>
    int MaxContext { get; }

    /// <summary>Most requests that it takes at a time, those that wait included; more at once are refused however idle it is.</summary>
    int MaxRequests { get; }

    int VocabularySize { get; }

    /// <summary>
    /// Queues a request at once and returns its tokens as they come, to be read by one reader. Cancelling the token, or
    /// disposing the enumerator, ends the request within a step and frees its pages.
    /// </summary>
    /// <exception cref="ArgumentException">The prompt is empty, too long, or has ids outside the vocabulary; or a parameter is out of its range.</exception>
    /// <exception cref="EngineBusyException">The queue is full.</exception>
    /// <exception cref="GenerationException">Thrown while the tokens are read: the time limit passed, or the experts failed. Thrown at once when the engine is shutting down.</exception>
    IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationRequest request, CancellationToken cancellationToken = default);
}
