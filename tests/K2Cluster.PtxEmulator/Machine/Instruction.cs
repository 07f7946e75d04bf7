namespace K2Cluster.PtxEmulator.Machine;

/// <summary>What an instruction does besides arithmetic: the warp itself handles these.</summary>
internal enum Flow : byte
{
    /// <summary>Run the handler, go on.</summary>
    None,
    Branch,
    Return,
    Trap,

    /// <summary>Arrive at a barrier and wait.</summary>
    Barrier,

    /// <summary>Arrive at a barrier and go on.</summary>
    BarrierArrive,
}

/// <summary>One decoded instruction. Operands are byte offsets into the warp's register file; immediates have registers of their own.</summary>
internal unsafe struct Instruction
{
    public delegate*<Warp, Instruction*, void> Handler;

    /// <summary>The first destination.</summary>
    public int D;

    /// <summary>A second destination, or -1.</summary>
    public int D2;
    public int A;
    public int B;
    public int C;

    /// <summary>Offset of the guard's predicate, or -1.</summary>
    public int Guard;

    /// <summary>Its place in the kernel.</summary>
    public int Index;

    /// <summary>Of a branch.</summary>
    public int Target;

    /// <summary>Where the lanes that a branch parts meet again: the block that is on every way to the end, or the number of instructions.</summary>
    public int Reconvergence;

    /// <summary>Offset of an address, a mode, a mask, by the opcode.</summary>
    public long Immediate;

    /// <summary>First of this instruction's vector of registers in <see cref="DecodedKernel.Vectors"/>; its length is <see cref="Elements"/>.</summary>
    public int Vector;
    public int Elements;
    public Flow Flow;
    public bool GuardNegated;

    /// <summary>Some operand is a register that may be read before it was written: the warp checks at run time.</summary>
    public bool Tracked;

    /// <summary>The destination has 16 bits.</summary>
    public bool Narrow;

    /// <summary>The address register has 64 bits.</summary>
    public bool WideAddress;
}
