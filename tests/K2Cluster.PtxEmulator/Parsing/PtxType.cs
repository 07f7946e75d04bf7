namespace K2Cluster.PtxEmulator.Parsing;

/// <summary>The fundamental types of PTX that are supported.</summary>
internal enum PtxType
{
    None,
    Pred,
    B8,
    U8,
    S8,
    B16,
    U16,
    S16,
    F16,
    BF16,
    B32,
    U32,
    S32,
    F32,
    F16x2,
    BF16x2,
    B64,
    U64,
    S64,
    F64,
}

internal static class PtxTypes
{
    private static readonly Dictionary<string, PtxType> Names = new(StringComparer.Ordinal)
    {
        ["pred"] = PtxType.Pred,
        ["b8"] = PtxType.B8,
        ["u8"] = PtxType.U8,
        ["s8"] = PtxType.S8,
        ["b16"] = PtxType.B16,
        ["u16"] = PtxType.U16,
        ["s16"] = PtxType.S16,
        ["f16"] = PtxType.F16,
        ["bf16"] = PtxType.BF16,
        ["b32"] = PtxType.B32,
        ["u32"] = PtxType.U32,
        ["s32"] = PtxType.S32,
        ["f32"] = PtxType.F32,
        ["f16x2"] = PtxType.F16x2,
        ["bf16x2"] = PtxType.BF16x2,
        ["b64"] = PtxType.B64,
        ["u64"] = PtxType.U64,
        ["s64"] = PtxType.S64,
        ["f64"] = PtxType.F64,
    };

    /// <summary>The type that a modifier (without its dot) names, or <see cref="PtxType.None"/>.</summary>
    public static PtxType Parse(string name) => Names.GetValueOrDefault(name);

    /// <summary>Bytes in memory; 0 for a predicate.</summary>
    public static int Bytes(this PtxType type) => type switch
    {
        PtxType.B8 or PtxType.U8 or PtxType.S8 => 1,
        PtxType.B16 or PtxType.U16 or PtxType.S16 or PtxType.F16 or PtxType.BF16 => 2,
        PtxType.B32 or PtxType.U32 or PtxType.S32 or PtxType.F32 or PtxType.F16x2 or PtxType.BF16x2 => 4,
        PtxType.B64 or PtxType.U64 or PtxType.S64 or PtxType.F64 => 8,
        _ => 0,
    };

    public static bool IsSigned(this PtxType type) => type is PtxType.S8 or PtxType.S16 or PtxType.S32 or PtxType.S64;

    public static bool IsFloat(this PtxType type) => type is PtxType.F16 or PtxType.BF16 or PtxType.F32 or PtxType.F64 or PtxType.F16x2 or PtxType.BF16x2;
}
