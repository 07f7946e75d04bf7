namespace K2Cluster.PtxEmulator.Machine;

/// <summary>What a kernel did wrong.</summary>
public enum PtxFaultKind
{
    /// <summary>An address that no allocation, or no shared memory of the block, holds.</summary>
    OutOfBounds,
    UseAfterFree,
    Misaligned,

    /// <summary>A read of a byte or register that nothing wrote.</summary>
    Uninitialised,

    /// <summary>Two accesses to shared memory, one a write, that no barrier orders.</summary>
    SharedRace,

    /// <summary>Shared memory read while a cp.async to it may still be under way.</summary>
    AsyncCopyPending,

    /// <summary>A barrier, or an instruction of the whole warp, that only some of its lanes reach.</summary>
    Divergence,

    /// <summary>Warps that wait at a barrier which the others never reach.</summary>
    Deadlock,

    /// <summary>A write to what the same launch reads through ld.global.nc.</summary>
    ReadOnlyWrite,

    /// <summary>Division by zero, a bad barrier number or count, a trap.</summary>
    BadOperation,

    /// <summary>The launch ran past its limit of instructions.</summary>
    Endless,

    /// <summary>The launch itself: sizes or arguments that the kernel or the device does not take.</summary>
    BadLaunch,
}

/// <summary>A fault of a kernel, with the place: kernel, line of the PTX, block, warp, lane.</summary>
public sealed class PtxFaultException : Exception
{
    public PtxFaultException(PtxFaultKind kind, string message, string kernel, int line = 0, string opcode = "", int block = -1, int warp = -1, int lane = -1, ulong address = 0)
        : base(Describe(kind, message, kernel, line, opcode, block, warp, lane))
    {
        Kind = kind;
        Kernel = kernel;
        Line = line;
        Opcode = opcode;
        Block = block;
        Warp = warp;
        Lane = lane;
        Address = address;
    }

    public PtxFaultKind Kind { get; }

    public string Kernel { get; }

    /// <summary>Of the PTX source, from 1; 0 where no single instruction is at fault.</summary>
    public int Line { get; }

    public string Opcode { get; }

    /// <summary>The block's number, x fastest; -1 where none is at fault.</summary>
    public int Block { get; }

    public int Warp { get; }

    public int Lane { get; }

    /// <summary>The address at fault; 0 where none is.</summary>
    public ulong Address { get; }

    private static string Describe(PtxFaultKind kind, string message, string kernel, int line, string opcode, int block, int warp, int lane)
    {
        string place = kernel;
        if (line > 0)
            place += $" line {line} {opcode}";
        if (block >= 0)
            place += $" block {block}";
        if (warp >= 0)
            place += $" warp {warp}";
        if (lane >= 0)
            place += $" lane {lane}";
        return $"{kind} in {place}: {message}";
    }
}
