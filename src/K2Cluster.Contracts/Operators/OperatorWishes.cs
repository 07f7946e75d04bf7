using System.Collections.Immutable;

namespace K2Cluster.Contracts.Operators;

/// <summary>What operators have asked for and not taken back.</summary>
/// <param name="Drained">Silos that are to hold nothing.</param>
/// <param name="Pinned">How many experts have shards of their own.</param>
/// <param name="Copied">How many have a number of replicas of their own.</param>
/// <param name="Replicas">Replicas wanted of every expert.</param>
/// <param name="IsKept">Whether they are in the store, so that they outlive the processes.</param>
[GenerateSerializer, Immutable, Alias("k2.OperatorWishes")]
public sealed record OperatorWishes([property: Id(0)] ImmutableArray<string> Drained, [property: Id(1)] int Pinned, [property: Id(2)] int Copied, [property: Id(3)] int Replicas, [property: Id(4)] bool IsKept)
{
    /// <summary>What is wished for single experts, by layer and number.</summary>
    [Id(5)]
    public ImmutableArray<ExpertWish> Experts { get; init; } = [];
}
