using System.Collections.Immutable;

namespace K2Cluster.Contracts;

/// <summary>What a shard is to hold. Assignments of an older epoch than one seen before are ignored.</summary>
/// <param name="Epoch">The epoch in the making that asks for it.</param>
/// <param name="Load">All that the shard is to hold (indexes of the grid); what is absent is loaded.</param>
/// <param name="Drop">Experts outside of Load that may be dropped now: no gateway uses them any more.</param>
[GenerateSerializer, Immutable, Alias("k2.ShardAssignment")]
public sealed record ShardAssignment([property: Id(0)] Epoch Epoch, [property: Id(1)] ImmutableArray<int> Load, [property: Id(2)] ImmutableArray<int> Drop)
{
    /// <summary>Those of Load of which other shards are the owners: nobody waits for further replicas. Empty from a placement that does not tell.</summary>
    [Id(3)]
    public ImmutableArray<int> Further { get; init => field = value.IsDefault ? [] : value; } = [];

    /// <summary>Those of Load that no shard held when it was made, unless all are: requests wait for them. Empty from a placement that does not tell.</summary>
    [Id(4)]
    public ImmutableArray<int> Urgent { get; init => field = value.IsDefault ? [] : value; } = [];
}
