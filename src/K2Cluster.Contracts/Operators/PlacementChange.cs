using System.Collections.Immutable;

namespace K2Cluster.Contracts.Operators;

/// <summary>One thing that an operator asks for. Shards are named in full, "silo/slot", or by the silo where it has one shard only.</summary>
[GenerateSerializer, Immutable, Alias("k2.PlacementChange")]
public sealed record PlacementChange
{
    /// <summary>Most of them in one call.</summary>
    public const int Most = 256;

    [Id(0)]
    public required PlacementChangeKind Kind { get; init; }

    [Id(1)]
    public int Layer { get; init; }

    [Id(2)]
    public int Expert { get; init; }

    /// <summary>Where to, of <see cref="PlacementChangeKind.Replicate"/> and <see cref="PlacementChangeKind.Move"/>.</summary>
    [Id(3)]
    public ImmutableArray<string> Shards { get; init; } = [];

    /// <summary>From where, of <see cref="PlacementChangeKind.Move"/> (null: the only replica) and <see cref="PlacementChangeKind.Drop"/>.</summary>
    [Id(4)]
    public string? From { get; init; }

    [Id(5)]
    public int Copies { get; init; }

    [Id(6)]
    public string? Silo { get; init; }

    /// <summary>For logs.</summary>
    public override string ToString() => Kind switch
    {
        PlacementChangeKind.Drain or PlacementChangeKind.Undrain => $"{Kind} {Silo}",
        PlacementChangeKind.Rebalance or PlacementChangeKind.UnpinAll => $"{Kind}",
        PlacementChangeKind.Replicas => $"{Kind} {Copies}",
        _ => $"{Kind} layer {Layer} expert {Expert}{(Shards.IsDefaultOrEmpty ? "" : $" to {string.Join(", ", Shards)}")}{(From is null ? "" : $" from {From}")}{(Copies == 0 ? "" : $" {Copies}")}",
    };
}
