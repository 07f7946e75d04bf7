namespace K2Cluster.Contracts.Operators;

/// <summary>How far a gateway has followed.</summary>
/// <param name="Gateway">Its name among the members.</param>
/// <param name="Known">The epoch that it uses.</param>
/// <param name="Silent">Since it asked last; it asks every few seconds.</param>
[GenerateSerializer, Immutable, Alias("k2.GatewayAcknowledgement")]
public sealed record GatewayAcknowledgement([property: Id(0)] string Gateway, [property: Id(1)] Epoch Known, [property: Id(2)] TimeSpan Silent);
