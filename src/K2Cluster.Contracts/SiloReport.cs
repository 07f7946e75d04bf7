using System.Collections.Immutable;

namespace K2Cluster.Contracts;

/// <summary>The shards of one silo; none when it leaves.</summary>
[GenerateSerializer, Immutable, Alias("k2.SiloReport")]
public sealed record SiloReport([property: Id(0)] string Silo, [property: Id(1)] ExpertGrid Grid, [property: Id(2)] ImmutableArray<ShardReport> Shards);
