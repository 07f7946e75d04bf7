namespace K2Cluster.Engine;

/// <summary>
/// Log-probabilities that the model itself gave at one position: of its logits as they came, before temperature, penalties,
/// biases and masks (vLLM's <c>raw_logprobs</c>). Made only for requests that ask.
/// </summary>
/// <param name="logprob">Of the token that was chosen.</param>
/// <param name="top">The most likely tokens, as many as were asked for: the highest first, the lowest id where two are equal.</param>
public sealed class TokenLogprobs(float logprob, TokenLogprob[] top)
{
    /// <summary>Of the token that was chosen; negative infinity where the model gave it no probability.</summary>
    public float Logprob { get; } = logprob;

    /// <summary>The most likely tokens. The chosen one may be among them or not.</summary>
    public IReadOnlyList<TokenLogprob> Top { get; } = top;
}

/// <summary>A token and its natural log-probability.</summary>
public readonly record struct TokenLogprob(int Token, float Logprob);
