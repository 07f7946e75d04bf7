namespace K2Cluster.Engine;

/// <summary>Changes logits before a token is chosen: a grammar's mask, a bias.</summary>
public interface ILogitsProcessor
{
    /// <summary>
    /// Runs on the engine's thread, between steps: everyone waits for it. What it does must follow from
    /// <paramref name="tokens"/> alone, so that a request can go on elsewhere. If it throws, its request fails and no other.
    /// </summary>
    /// <param name="tokens">The prompt and what was generated so far.</param>
    /// <param name="promptLength">How many of them are the prompt.</param>
    /// <param name="logits">[vocabulary]; negative infinity forbids a token.</param>
    void Apply(ReadOnlySpan<int> tokens, int promptLength, Span<float> logits);
}
