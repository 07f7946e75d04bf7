namespace K2Cluster.PtxEmulator.Parsing;

internal enum PtxSpace
{
    Generic,
    Parameter,
    Global,
    Constant,
    Shared,
    Local,
}

/// <summary>A variable of a module or of a kernel.</summary>
/// <param name="Bytes">0 for an extern array: the launch's dynamic shared memory.</param>
/// <param name="Initial">Its first bytes; null where it has no initial value.</param>
internal sealed record PtxVariable(string Name, PtxSpace Space, int Alignment, int Bytes, byte[]? Initial);

/// <summary>A parameter of an entry.</summary>
/// <param name="Offset">Within the parameter block.</param>
internal sealed record PtxParameter(string Name, PtxType Type, int Offset, int Bytes);

/// <summary>A declared register.</summary>
internal sealed record PtxRegister(string Name, PtxType Type);
