namespace K2Cluster.Contracts.Operators;

/// <summary>What the loss of a silo takes away until others have loaded it.</summary>
/// <param name="Silo">Its name.</param>
/// <param name="Experts">Experts that only it serves.</param>
[GenerateSerializer, Immutable, Alias("k2.SiloLoss")]
public sealed record SiloLoss([property: Id(0)] string Silo, [property: Id(1)] int Experts);
