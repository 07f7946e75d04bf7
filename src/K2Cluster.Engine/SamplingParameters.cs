namespace K2Cluster.Engine;

/// <summary>How the next token is chosen.</summary>
/// <param name="Temperature">Finite, not negative. 0 is greedy: the highest logit, the lowest id where two are equal. At most 2 by OpenAI's API.</param>
/// <param name="TopP">In (0, 1]: keep the smallest set of tokens whose probability reaches this; 1 keeps all.</param>
/// <param name="Seed">
/// Key of the counter-based generator: the same seed gives the same tokens, whatever else runs. Where a client gave none, the
/// caller draws one and records it.
/// </param>
public sealed record SamplingParameters(float Temperature = 1, float TopP = 1, ulong Seed = 0)
{
    public static SamplingParameters Greedy { get; } = new(Temperature: 0);
}
