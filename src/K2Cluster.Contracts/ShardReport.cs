using System.Collections.Immutable;

namespace K2Cluster.Contracts;

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
    public required ImmutableArray<int> Held { get; init; }

    /// <summary>Experts asked for and not ready yet.</summary>
    [Id(4)]
    public required int Loading { get; init; }

    /// <summary>Why loading stopped, in words; null when it did not.</summary>
    [Id(5)]
    public string? Problem { get; init; }

    /// <summary>The newest assignment that it took; a placement grain whose clock is behind starts above it.</summary>
    [Id(6)]
    public Epoch Assigned { get; init; }

    /// <summary>Counts the shard's reports in its life: one that was overtaken by a newer one says nothing any more.</summary>
    [Id(7)]
    public long Number { get; init; }

    /// <summary>Rows of an expert that it computes in a second, over the last seconds that it computed; 0 until there were enough.</summary>
    [Id(8)]
    public double RowsPerSecond { get; init; }

    /// <summary>How many rows it has computed in this life with each of the experts in <see cref="Held"/>; they may go round. Empty in most reports, as they are long.</summary>
    [Id(9)]
    public ImmutableArray<uint> Rows { get; init; } = [];

    /// <summary>Whether it computes on its host's own threads: a CPU, not a GPU.</summary>
    [Id(10)]
    public bool UsesHostThreads { get; init; }
}
