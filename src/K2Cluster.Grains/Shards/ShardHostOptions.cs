using K2Cluster.Checkpoint;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;

namespace K2Cluster.Grains.Shards;

/// <summary>The shards that a silo is to have.</summary>
public sealed record ShardHostOptions
{
    /// <summary>The routed experts of the model.</summary>
    public required ExpertGrid Grid { get; init; }

    /// <summary>How weights are kept: "int4-g32" or "bf16".</summary>
    public required string Format { get; init; }

    /// <summary>Where experts are read. Not disposed by the shards.</summary>
    public required ITensorSource Source { get; init; }

    /// <summary>
    /// Whether the device, if it is one only, computes on the threads that a gateway in this process computes on: then it
    /// needs none of its own for that gateway's batches.
    /// </summary>
    public bool SharesThreads { get; init; }

    /// <summary>Makes the devices, in the order of their slots; called once, when the host starts. The shards dispose them.</summary>
    public required Func<IReadOnlyList<IExpertDevice>> CreateDevices { get; init; }

    /// <summary>Asked when a device that was made cannot start, with the reason: true to go on without it. Otherwise the host does not start.</summary>
    public Func<IExpertDevice, Exception, bool> LeavesOut { get; init; } = static (_, _) => false;
}
