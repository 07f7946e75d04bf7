using System.Collections.Immutable;

namespace K2Cluster.Contracts;

/// <summary>The shards of one silo; none when it leaves. Its address tells it from another of the same name.</summary>
[GenerateSerializer, Immutable, Alias("k2.SiloReport")]
public sealed record SiloReport([property: Id(0)] string Silo, [property: Id(1)] ExpertGrid Grid, [property: Id(2)] ImmutableArray<ShardReport> Shards, [property: Id(3)] SiloAddress? Address = null);
