namespace K2Cluster.Contracts;

/// <summary>A shard as a plan knows it.</summary>
/// <param name="Id">The shard.</param>
/// <param name="Incarnation">Which life of it; a shard refuses a frame made for another.</param>
/// <param name="Kind">Its device kind: the replicas of an expert stay on one kind (docs/adr/0005-numerics.md).</param>
/// <param name="Format">How it keeps weights: "int4-g32" or "bf16".</param>
[GenerateSerializer, Immutable, Alias("k2.PlannedShard")]
public sealed record PlannedShard([property: Id(0)] ShardId Id, [property: Id(1)] long Incarnation, [property: Id(2)] string Kind, [property: Id(3)] string Format);
