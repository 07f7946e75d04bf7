using System.Collections.Immutable;

namespace K2Cluster.Contracts.Operators;

/// <summary>An expert that is to be elsewhere.</summary>
/// <param name="Layer">Its layer.</param>
/// <param name="Expert">Its number in that.</param>
/// <param name="Before">The shards that were to hold it.</param>
/// <param name="After">Those that are to now.</param>
/// <param name="Reason">Why, for people.</param>
[GenerateSerializer, Immutable, Alias("k2.ExpertChange")]
public sealed record ExpertChange([property: Id(0)] int Layer, [property: Id(1)] int Expert, [property: Id(2)] ImmutableArray<string> Before, [property: Id(3)] ImmutableArray<string> After, [property: Id(4)] string Reason);
