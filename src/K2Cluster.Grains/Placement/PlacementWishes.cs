using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using K2Cluster.Contracts;
using K2Cluster.Planning;

namespace K2Cluster.Grains.Placement;

/// <summary>What operators asked of a placement, which no report could tell it again. Only ever add.</summary>
internal sealed record PlacementWishes
{
    /// <summary>More than this of one expert is a mistake.</summary>
    public const int MostReplicas = 64;

    public static PlacementWishes None { get; } = new();

    /// <summary>Names of silos that are to hold nothing.</summary>
    public ImmutableArray<string> Drained { get; init => field = Known(value); } = [];

    /// <summary>Experts whose replicas were chosen by hand.</summary>
    public ImmutableArray<PinnedExpert> Pinned { get; init => field = Known(value); } = [];

    /// <summary>Experts of which so many replicas are wanted, wherever there is room.</summary>
    public ImmutableArray<ExpertCopies> Copies { get; init => field = Known(value); } = [];

    /// <summary>Replicas wanted of every expert; where nobody has asked for a number, the planner's own.</summary>
    public int Replicas { get; init => field = value < 1 ? PlanWishes.None.Replicas : Math.Min(value, MostReplicas); } = PlanWishes.None.Replicas;

    /// <summary>What a later version wrote: kept as it is.</summary>
    [JsonExtensionData]
    public Dictionary<string, JsonElement>? Others { get; set; }

    /// <summary>The same for the planner, which counts experts: those that the model does not have are left out.</summary>
    public PlanWishes ToPlan(ExpertGrid grid)
    {
        ImmutableDictionary<int, ImmutableArray<string>>.Builder pinned = ImmutableDictionary.CreateBuilder<int, ImmutableArray<string>>();
        foreach (PinnedExpert pin in Pinned.Where(pin => grid.Contains(pin.Layer, pin.Expert)))
            pinned[grid.Index(pin.Layer, pin.Expert)] = pin.Shards;
        ImmutableDictionary<int, int>.Builder copies = ImmutableDictionary.CreateBuilder<int, int>();
        foreach (ExpertCopies wish in Copies.Where(wish => grid.Contains(wish.Layer, wish.Expert)))
            copies[grid.Index(wish.Layer, wish.Expert)] = Math.Clamp(wish.Copies, 1, MostReplicas);
        return new PlanWishes { Drained = [.. Drained], Pinned = pinned.ToImmutable(), Copies = copies.ToImmutable(), Replicas = Replicas };
    }

    /// <summary>What a record does not have, the reader sets to the type's default.</summary>
    private static ImmutableArray<T> Known<T>(ImmutableArray<T> value) => value.IsDefault ? [] : value;
}

/// <summary>The shards that are to hold an expert, and no other.</summary>
internal sealed record PinnedExpert(int Layer, int Expert, ImmutableArray<string> Shards);

/// <summary>Of an expert so many replicas are wanted.</summary>
internal sealed record ExpertCopies(int Layer, int Expert, int Copies);
