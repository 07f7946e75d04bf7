namespace K2Cluster.Engine;

/// <summary>How the next token is chosen.</summary>
/// <param name="Temperature">0 is greedy: the highest logit, the lowest id where two are equal. At most 2 by OpenAI's API.</param>
/// <param name="TopP">Keep the smallest set of tokens whose probability reaches this; 1 keeps all.</param>
/// <param name="Seed">Key of the counter-based generator. The same seed gives the same tokens, whatever else runs.</param>
public sealed record SamplingParameters(float Temperature = 1, float TopP = 1, ulong Seed = 0)
{
    public static SamplingParameters Greedy { get; } = new(Temperature: 0);
}
