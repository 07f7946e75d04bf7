using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>A GPU that does not exist: what the fake driver says of it, and how it runs.</summary>
public sealed record FakeGpu
{
    public string Name { get; init; } = "Fake GPU";

    /// <summary>Of compute; decides which PTX it takes and how much shared memory a block can have.</summary>
    public Version Capability { get; init; } = new(9, 0);

    /// <summary>All of its memory, bytes.</summary>
    public long MemoryBytes { get; init; } = 1L << 30;

    /// <summary>Few, since launches take as many blocks, and each costs time here.</summary>
    public int MultiProcessors { get; init; } = 2;

    public int MaxThreadsPerBlock { get; init; } = 256;

    public bool Ecc { get; init; } = true;

    /// <summary>
    /// Work of a stream begins only when somebody waits for it or asks about it: as late as a device may. A buffer that is
    /// used again too early is then found in every run.
    /// </summary>
    public bool Lazy { get; init; }

    /// <summary>How kernels run.</summary>
    public EmulatorOptions Emulation { get; init; } = EmulatorOptions.Default;

    /// <summary>Dynamic shared memory that a block may ask for, bytes.</summary>
    public int MaxSharedBytesOptin => (Capability.Major, Capability.Minor) switch
    {
        (8, 0) or (8, 7) => 163 * 1024,
        (8, _) => 99 * 1024,
        ( >= 9, _) => 227 * 1024,
        _ => 48 * 1024,
    };
}
