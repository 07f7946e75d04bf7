using System.Collections.Immutable;

namespace K2Cluster.Planning;

/// <summary>A device that experts are planned for.</summary>
/// <param name="Id">Its name; the same in every plan.</param>
/// <param name="Host">The host that it is lost with.</param>
/// <param name="Kind">Devices of one kind give equal bits; the replicas of an expert stay on one.</param>
/// <param name="Capacity">Experts that fit.</param>
/// <param name="Speed">Rows of an expert that it computes in a second. Only the ratio to other devices counts.</param>
public sealed record PlanDevice(string Id, string Host, string Kind, int Capacity, double Speed)
{
    /// <summary>It computes on its host's own threads: a device with memory and processors of its own comes before it, however fast the host.</summary>
    public bool UsesHostThreads { get; init; }

    /// <summary>Whether it can load anything. One that cannot keeps what it holds.</summary>
    public bool CanLoad { get; init; } = true;

    /// <summary>Experts that it holds now.</summary>
    public ImmutableArray<int> Held { get; init; } = [];
}
