namespace K2Cluster.Engine;

public enum FinishReason
{
    /// <summary>A stop token came.</summary>
    Stop,

    /// <summary>MaxTokens or the end of the context was reached.</summary>
    Length,
}
