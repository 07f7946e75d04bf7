using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Kernels.Devices;

/// <summary>
/// A device that holds experts and computes them: the CPU (a NUMA node of it), or a GPU. Load and unload may be called
/// from any thread while <see cref="Forward"/> runs; Forward is called by one worker thread only.
/// </summary>
public interface IExpertDevice : IDisposable
{
    DeviceDescription Description { get; }

    /// <summary>Bytes of device memory that one routed expert takes in this device's layout.</summary>
    long ExpertBytes { get; }

    /// <summary>Experts that are best loaded at the same time, at least 1.</summary>
    int LoadThreads => 1;

    /// <summary>Whether it computes on the host's own threads.</summary>
    bool UsesHostThreads => true;

    /// <summary>Why the device cannot be used any more, in words; null while it can. Once lost, it stays so.</summary>
    string? Lost => null;

    /// <summary>Reads an expert and makes it ready. Does nothing when it is held already.</summary>
    /// <exception cref="CheckpointException">A tensor of the expert is missing or wrong.</exception>
    /// <exception cref="InsufficientMemoryException">The weights budget is spent.</exception>
    /// <exception cref="DeviceLostException">The device is lost.</exception>
    void Load(ExpertKey expert, ITensorSource source);

    /// <summary>Frees an expert once no forward uses it; false when it was not held.</summary>
    bool Unload(ExpertKey expert);

    bool Holds(ExpertKey expert);

    /// <summary>Called first by each thread that works for this device alone, to load or to compute: binds it to the device's CPUs, where it has its own.</summary>
    void BindThread()
    {
    }

    /// <summary>Host-visible buffers for one forward call, in memory that suits the device (pinned for a GPU).</summary>
    ExpertWork CreateWork(int maxRows, int maxPairs);

    /// <summary>Computes every pair of <paramref name="work"/>. A row's result does not depend on the other rows.</summary>
    /// <exception cref="DeviceLostException">The device is lost.</exception>
    void Forward(ExpertWork work);
}
