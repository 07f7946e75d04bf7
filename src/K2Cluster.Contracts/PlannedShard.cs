namespace K2Cluster.Contracts;

/// <summary>A shard as a plan knows it.</summary>
/// <param name="Id">The shard.</param>
/// <param name="Incarnation">Which life of it; a shard refuses a frame made for another.</param>
/// <param name="Kind">Its device kind: the replicas of an expert stay on one kind (docs/adr/0005-numerics.md).</param>
/// <param name="Format">How it keeps weights: "int4-g32" or "bf16".</param>
/// <param name="Endpoint">Where its silo takes frames over the fabric, "HOST:PORT"; null: by grain calls only.</param>
/// <param name="SiloAddress">The silo that listens there, as membership knows it.</param>
[GenerateSerializer, Immutable, Alias("k2.PlannedShard")]
public sealed record PlannedShard([property: Id(0)] ShardId Id, [property: Id(1)] long Incarnation, [property: Id(2)] string Kind, [property: Id(3)] string Format, [property: Id(4)] string? Endpoint = null, [property: Id(5)] SiloAddress? SiloAddress = null);
