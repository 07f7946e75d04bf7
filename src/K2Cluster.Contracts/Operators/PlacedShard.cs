namespace K2Cluster.Contracts.Operators;

/// <summary>A shard as the placement sees it.</summary>
[GenerateSerializer, Immutable, Alias("k2.PlacedShard")]
public sealed record PlacedShard
{
    [Id(0)]
    public required PlannedShard Shard { get; init; }

    /// <summary>Bytes of experts that it may hold; 0 while its silo leaves.</summary>
    [Id(1)]
    public required long WeightsBudget { get; init; }

    [Id(2)]
    public required long ExpertBytes { get; init; }

    /// <summary>Experts in its memory.</summary>
    [Id(3)]
    public required int Held { get; init; }

    /// <summary>Experts that it is to hold: as an owner, and as a further replica.</summary>
    [Id(4)]
    public required int Owned { get; init; }

    [Id(5)]
    public required int Replicas { get; init; }

    /// <summary>Experts asked for and not ready yet.</summary>
    [Id(6)]
    public required int Loading { get; init; }

    /// <summary>Its part of all that is asked for, by the plan; 0 to 1.</summary>
    [Id(7)]
    public required double LoadShare { get; init; }

    /// <summary>Rows that it computes in a second, as it measured; 0 until there were enough.</summary>
    [Id(8)]
    public required double RowsPerSecond { get; init; }

    /// <summary>Why loading stopped, in words; null when it did not.</summary>
    [Id(9)]
    public string? Problem { get; init; }

    /// <summary>Since its silo's last report.</summary>
    [Id(10)]
    public required TimeSpan Silent { get; init; }
}
