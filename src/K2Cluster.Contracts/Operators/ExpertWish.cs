using System.Collections.Immutable;

namespace K2Cluster.Contracts.Operators;

/// <summary>What operators wish for one expert.</summary>
/// <param name="Layer">Its layer.</param>
/// <param name="Expert">Its number in that.</param>
/// <param name="Shards">The shards that are to hold it, and no other; empty where a number of replicas is wished for.</param>
/// <param name="Copies">That number; 0 where shards are named.</param>
[GenerateSerializer, Immutable, Alias("k2.ExpertWish")]
public sealed record ExpertWish([property: Id(0)] int Layer, [property: Id(1)] int Expert, [property: Id(2)] ImmutableArray<string> Shards, [property: Id(3)] int Copies);
