namespace K2Cluster.Planning;

/// <summary>What a step of a model reads and sends, and how fast that goes outside of the devices.</summary>
public sealed record StepCosts
{
    /// <summary>Routed experts that a token goes to in each layer.</summary>
    public required int ExpertsPerToken { get; init; }

    public required long ExpertBytes { get; init; }

    /// <summary>Elements of a row; two bytes each on the network.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Bytes of weights that the gateway reads in a step, whatever the batch.</summary>
    public required long TrunkBytes { get; init; }

    /// <summary>Bytes of KV cache that it reads for each sequence.</summary>
    public required long KvBytes { get; init; }

    /// <summary>What the gateway reads in a second.</summary>
    public required double GatewayBytesPerSecond { get; init; }

    /// <summary>From the gateway to a silo and back, without content.</summary>
    public required TimeSpan RoundTrip { get; init; }

    /// <summary>What goes through the gateway's network card in a second, one way.</summary>
    public required double NetworkBytesPerSecond { get; init; }
}
