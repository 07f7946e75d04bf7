namespace K2Cluster.Contracts.Operators;

/// <summary>An operator asked for what cannot be done; nothing was changed. The message is for people.</summary>
[GenerateSerializer, Alias("k2.PlacementRefusedException")]
public sealed class PlacementRefusedException(PlacementRefusal refusal, string message) : Exception(message)
{
    [Id(0)]
    public PlacementRefusal Refusal { get; } = refusal;
}
