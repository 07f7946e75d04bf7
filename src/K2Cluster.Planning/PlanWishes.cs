using System.Collections.Immutable;

namespace K2Cluster.Planning;

/// <summary>What an operator wants of a plan.</summary>
public sealed record PlanWishes
{
    public static PlanWishes None { get; } = new();

    /// <summary>Devices, or whole hosts, that are to hold nothing but what would be nowhere else.</summary>
    public ImmutableHashSet<string> Drained { get; init; } = [];

    /// <summary>The devices that are to hold an expert, its owner first. Those that are not there are passed over; when none is, the expert is planned as others are.</summary>
    public ImmutableDictionary<int, ImmutableArray<string>> Pinned { get; init; } = ImmutableDictionary<int, ImmutableArray<string>>.Empty;

    /// <summary>
    /// Replicas wanted of every expert, 1 or more, as far as memory goes and the hottest first, on other hosts where there are
    /// some. Default 2: a host that is lost then takes no expert away, and nothing waits for loading.
    /// </summary>
    public int Replicas { get; init; } = 2;

    /// <summary>Replicas wanted of single experts, wherever there is room. Where <see cref="Replicas"/> or the load asks for more, they get more.</summary>
    public ImmutableDictionary<int, int> Copies { get; init; } = ImmutableDictionary<int, int>.Empty;

    internal int ReplicasOf(int expert) => Math.Max(Math.Max(1, Replicas), Copies.GetValueOrDefault(expert));
}
