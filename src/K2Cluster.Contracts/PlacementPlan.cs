using System.Collections.Immutable;

namespace K2Cluster.Contracts;

/// <summary>Which shards hold which experts: data, published as a whole under an epoch.</summary>
[GenerateSerializer, Immutable, Alias("k2.PlacementPlan")]
public sealed record PlacementPlan
{
    [Id(0)]
    public required Epoch Epoch { get; init; }

    [Id(1)]
    public required ExpertGrid Grid { get; init; }

    /// <summary>The shards that the plan speaks of.</summary>
    [Id(2)]
    public required ImmutableArray<PlannedShard> Shards { get; init; }

    /// <summary>[Grid.Count + 1]: where each expert's replicas start in <see cref="ReplicaShards"/>, in the order of <see cref="ExpertGrid.Index"/>.</summary>
    [Id(3)]
    public required ImmutableArray<int> ReplicaStarts { get; init; }

    /// <summary>Indexes into <see cref="Shards"/>. Flat, because a list per expert makes 23,040 objects of a plan of Kimi K2.</summary>
    [Id(4)]
    public required ImmutableArray<int> ReplicaShards { get; init; }

    /// <summary>Null when every expert has a replica; otherwise what is missing and what to do, for people.</summary>
    [Id(5)]
    public string? Incomplete { get; init; }

    /// <summary>Whether every expert that is missing is being loaded, by a shard that has room: it will come without anybody doing something.</summary>
    [Id(6)]
    public bool IsFilling { get; init; }

    /// <summary>As <see cref="Incomplete"/>, for clients, who may be strangers: names no host and no shard. Null from a placement that does not say it yet, too.</summary>
    [Id(7)]
    public string? PublicIncomplete { get; init; }

    /// <summary>[Shards]: how many (row, expert) pairs each computes in a second, above 0; only their ratios count. Empty or default: all are alike.</summary>
    [Id(8)]
    public ImmutableArray<float> Speeds { get; init; } = [];

    /// <summary>The shards (indexes into <see cref="Shards"/>) that hold a replica of an expert; empty when none does.</summary>
    public ReadOnlySpan<int> ReplicasOf(int expert) => ReplicaShards.AsSpan(ReplicaStarts[expert]..ReplicaStarts[expert + 1]);
}
