namespace K2Cluster.Engine;

/// <summary>Requests in, tokens out.</summary>
public interface IEngine
{
    /// <summary>Most tokens of prompt and completion together that a request may have here.</summary>
    int MaxContext { get; }

    int VocabularySize { get; }

    /// <summary>
    /// Queues a request and returns its tokens as they come. Cancelling the token ends the request within a step and frees its pages.
    /// </summary>
    /// <exception cref="ArgumentException">The prompt is empty, too long, or has ids outside the vocabulary.</exception>
    /// <exception cref="EngineBusyException">The queue is full.</exception>
    /// <exception cref="GenerationException">Thrown while the tokens are read: the time limit passed, or the experts failed.</exception>
    IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationRequest request, CancellationToken cancellationToken = default);
}
