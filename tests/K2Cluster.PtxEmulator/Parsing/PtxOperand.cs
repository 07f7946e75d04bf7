namespace K2Cluster.PtxEmulator.Parsing;

internal enum PtxOperandKind
{
    /// <summary>A register of the kernel, by its number in <see cref="PtxKernel.Registers"/>.</summary>
    Register,

    /// <summary>A special register such as %tid.x.</summary>
    Special,

    /// <summary>An integer.</summary>
    Integer,

    /// <summary>The bits of an FP32 or FP64 literal.</summary>
    Float32,
    Float64,

    /// <summary>A variable, a parameter or a label, with an offset.</summary>
    Symbol,

    /// <summary>[base + offset]: the base in <see cref="PtxOperand.Elements"/>, the offset in <see cref="PtxOperand.Value"/>.</summary>
    Address,

    /// <summary>{a, b, …}</summary>
    Vector,

    /// <summary>"_": a result that nobody wants.</summary>
    Sink,

    /// <summary>p|q: two destinations.</summary>
    Pair,
}

/// <summary>One operand as written.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">Its text.</param>
/// <param name="Value">Register number, integer, literal's bits or offset, by kind.</param>
/// <param name="Negated">"!" before a predicate.</param>
/// <param name="Elements">Of an address, a vector or a pair.</param>
internal sealed record PtxOperand(PtxOperandKind Kind, string Name, long Value = 0, bool Negated = false, PtxOperand[]? Elements = null)
{
    public PtxOperand[] Parts => Elements ?? [];
}
