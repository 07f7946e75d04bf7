using System.Collections.Immutable;

namespace K2Cluster.Contracts.Operators;

/// <summary>Where one expert is, where it is to be, and why.</summary>
[GenerateSerializer, Immutable, Alias("k2.ExpertExplanation")]
public sealed record ExpertExplanation
{
    /// <summary>How often it is asked for, in units of the mean of its layer.</summary>
    [Id(0)]
    public required double Load { get; init; }

    /// <summary>The shards that are to hold it, the owner first.</summary>
    [Id(1)]
    public required ImmutableArray<PlannedReplica> Planned { get; init; }

    /// <summary>The shards that gateways ask for it.</summary>
    [Id(2)]
    public required ImmutableArray<string> Serving { get; init; }

    /// <summary>The shards that have it in memory.</summary>
    [Id(3)]
    public required ImmutableArray<string> Held { get; init; }

    /// <summary>What an operator wished for it, in words; null for nothing.</summary>
    [Id(4)]
    public string? Wish { get; init; }
}
