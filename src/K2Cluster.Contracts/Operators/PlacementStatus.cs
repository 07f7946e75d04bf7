using System.Collections.Immutable;

namespace K2Cluster.Contracts.Operators;

/// <summary>How a cluster's placement stands.</summary>
[GenerateSerializer, Immutable, Alias("k2.PlacementStatus")]
public sealed record PlacementStatus
{
    /// <summary>Of the plan in force; none before there is one.</summary>
    [Id(0)]
    public required Epoch Epoch { get; init; }

    [Id(1)]
    public required ExpertGrid Grid { get; init; }

    /// <summary>What is missing and what to do, for people; null when every expert is served.</summary>
    [Id(2)]
    public string? Incomplete { get; init; }

    [Id(3)]
    public required ImmutableArray<PlacedShard> Shards { get; init; }

    [Id(4)]
    public required ImmutableArray<GatewayAcknowledgement> Gateways { get; init; }

    [Id(5)]
    public required OperatorWishes Wishes { get; init; }

    /// <summary>What an operator might do to have it faster, for people; null when nothing is known.</summary>
    [Id(6)]
    public string? Advice { get; init; }

    /// <summary>Experts that shards of two silos or more serve.</summary>
    [Id(7)]
    public int OnSeveral { get; init; }

    /// <summary>Of each silo, the experts that only it serves: while there are any, its loss takes them away until others have loaded them.</summary>
    [Id(8)]
    public ImmutableArray<SiloLoss> Losses { get; init; } = [];
}
