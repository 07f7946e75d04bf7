namespace K2Cluster.Contracts;

/// <summary>What a shard is to hold. Assignments of an older epoch than one seen before are ignored.</summary>
/// <param name="Epoch">The epoch in the making that asks for it.</param>
/// <param name="Load">Experts to hold (indexes of the grid); loaded if absent.</param>
/// <param name="Drop">Experts that may be dropped now: no gateway uses them any more.</param>
[GenerateSerializer, Immutable, Alias("k2.ShardAssignment")]
public sealed record ShardAssignment([property: Id(0)] Epoch Epoch, [property: Id(1)] IReadOnlyList<int> Load, [property: Id(2)] IReadOnlyList<int> Drop);

/// <summary>What a shard is and holds.</summary>
[GenerateSerializer, Immutable, Alias("k2.ShardReport")]
public sealed record ShardReport
{
    [Id(0)]
    public required PlannedShard Shard { get; init; }

    /// <summary>Bytes of experts that it may hold.</summary>
    [Id(1)]
    public required long WeightsBudget { get; init; }

    /// <summary>Bytes that one expert takes on it.</summary>
    [Id(2)]
    public required long ExpertBytes { get; init; }

    /// <summary>Experts held and ready (indexes of the grid), rising.</summary>
    [Id(3)]
    public required IReadOnlyList<int> Held { get; init; }

    /// <summary>Experts asked for and not ready yet.</summary>
    [Id(4)]
    public required int Loading { get; init; }

    /// <summary>Why loading stopped, in words; null when it did not.</summary>
    [Id(5)]
    public string? Problem { get; init; }
}
