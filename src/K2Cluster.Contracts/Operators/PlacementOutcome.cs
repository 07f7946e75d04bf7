using System.Collections.Immutable;

namespace K2Cluster.Contracts.Operators;

/// <summary>What a change makes of the plan, or would make. It is loaded and dropped from then on, in the background.</summary>
[GenerateSerializer, Immutable, Alias("k2.PlacementOutcome")]
public sealed record PlacementOutcome
{
    /// <summary>Most experts that are listed.</summary>
    public const int MostListed = 1000;

    /// <summary>Most notes.</summary>
    public const int MostNotes = 20;

    /// <summary>The first of the experts that are to be elsewhere.</summary>
    [Id(0)]
    public required ImmutableArray<ExpertChange> Experts { get; init; }

    /// <summary>How many there are in all.</summary>
    [Id(1)]
    public required int Changed { get; init; }

    /// <summary>Experts that shards load, and the bytes of them.</summary>
    [Id(2)]
    public required int Loads { get; init; }

    [Id(3)]
    public required long LoadBytes { get; init; }

    /// <summary>Replicas that are given up.</summary>
    [Id(4)]
    public required int Drops { get; init; }

    /// <summary>What is not as it was asked for, in words.</summary>
    [Id(5)]
    public required ImmutableArray<string> Notes { get; init; }

    /// <summary>Experts that stay on silos that were to be drained by this, as no other shard has room for them.</summary>
    [Id(6)]
    public int Staying { get; init; }
}
