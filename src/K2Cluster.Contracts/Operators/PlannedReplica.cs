namespace K2Cluster.Contracts.Operators;

/// <summary>That a shard is to hold an expert.</summary>
/// <param name="Shard">The shard's id.</param>
/// <param name="IsOwner">Whether it is the replica that every expert has.</param>
/// <param name="Reason">Why, for people.</param>
[GenerateSerializer, Immutable, Alias("k2.PlannedReplica")]
public sealed record PlannedReplica([property: Id(0)] string Shard, [property: Id(1)] bool IsOwner, [property: Id(2)] string Reason);
