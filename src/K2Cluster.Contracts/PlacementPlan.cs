namespace K2Cluster.Contracts;

/// <summary>Which shards hold which experts: data, published as a whole under an epoch.</summary>
[GenerateSerializer, Immutable, Alias("k2.PlacementPlan")]
public sealed record PlacementPlan
{
    [Id(0)]
    public required Epoch Epoch { get; init; }

    [Id(1)]
    public required ExpertGrid Grid { get; init; }

    /// <summary>The shards that the plan speaks of; <see cref="Replicas"/> holds indexes into this list.</summary>
    [Id(2)]
    public required IReadOnlyList<PlannedShard> Shards { get; init; }

    /// <summary>[Grid.Count]: for each expert, in the order of <see cref="ExpertGrid.Index"/>, the shards that hold a replica; empty when none does.</summary>
    [Id(3)]
    public required IReadOnlyList<IReadOnlyList<int>> Replicas { get; init; }

    /// <summary>Null when every expert has a replica; otherwise what is missing and what to do, for people.</summary>
    [Id(4)]
    public string? Incomplete { get; init; }
}

/// <summary>A shard as a plan knows it.</summary>
/// <param name="Id">The shard.</param>
/// <param name="Incarnation">Which life of it; a shard refuses a frame made for another.</param>
/// <param name="Kind">Its device kind: the replicas of an expert stay on one kind (DESIGN §3).</param>
/// <param name="Format">How it keeps weights: "int4-g32" or "bf16".</param>
[GenerateSerializer, Immutable, Alias("k2.PlannedShard")]
public sealed record PlannedShard([property: Id(0)] ShardId Id, [property: Id(1)] long Incarnation, [property: Id(2)] string Kind, [property: Id(3)] string Format);

/// <summary>The routed experts of a model: which layers have them and how many each.</summary>
/// <param name="FirstLayer">The first MoE layer.</param>
/// <param name="Layers">Number of MoE layers from there.</param>
/// <param name="Experts">Routed experts a layer.</param>
[GenerateSerializer, Immutable, Alias("k2.ExpertGrid")]
public readonly record struct ExpertGrid([property: Id(0)] int FirstLayer, [property: Id(1)] int Layers, [property: Id(2)] int Experts)
{
    public int Count => Layers * Experts;

    public int Index(int layer, int expert) => ((layer - FirstLayer) * Experts) + expert;

    public (int Layer, int Expert) At(int index) => (FirstLayer + (index / Experts), index % Experts);
}
