namespace K2Cluster.PtxEmulator.Machine;

/// <summary>How a launch runs.</summary>
public sealed record EmulatorOptions
{
    public static EmulatorOptions Default { get; } = new();

    /// <summary>Threads that run blocks. 1 makes the order of blocks, and which fault is met first, the same in every run.</summary>
    public int Workers { get; init; } = Environment.ProcessorCount;

    /// <summary>
    /// Shared memory is checked for races and for reads before writes. Without, the products take about two thirds of the time; bounds,
    /// alignment, barriers and global memory stay checked.
    /// </summary>
    public bool CheckShared { get; init; } = true;

    /// <summary>A launch that executes more instructions (of whole warps) is endless.</summary>
    public long MaxInstructions { get; init; } = 2_000_000_000;

    /// <summary>Bytes of shared memory that a block can have: 227 KiB on sm_90, 163 on sm_80, 99 on sm_86.</summary>
    public int MaxSharedBytes { get; init; } = 227 * 1024;
}
