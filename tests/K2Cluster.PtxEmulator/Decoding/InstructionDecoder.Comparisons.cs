using K2Cluster.PtxEmulator.Arithmetic;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>setp.</summary>
internal sealed unsafe partial class InstructionDecoder
{
    private void DecodeCompare(ref Instruction instruction)
    {
        Allow("eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan", "and", "or", "xor", "ftz");
        PtxType type = LastType;
        PtxOperand target = Operand(0);
        instruction.D = PredicateDestination(target.Kind == PtxOperandKind.Pair ? target.Parts[0] : target);
        instruction.D2 = target.Kind == PtxOperandKind.Pair ? PredicateDestination(target.Parts[1]) : -1;
        instruction.A = Source(1, type);
        instruction.B = Source(2, type);
        if (_statement.Has("and") || _statement.Has("or") || _statement.Has("xor"))
        {
            instruction.C = PredicateSource(Operand(3));
            instruction.Immediate = (_statement.Has("and") ? Handlers.CombineAnd : _statement.Has("or") ? Handlers.CombineOr : Handlers.CombineXor)
                | (Operand(3).Negated ? Handlers.CombineNegated : 0);
        }

        string comparison = _statement.Parts[1];
        instruction.Handler = type switch
        {
            PtxType.F32 when _statement.Has("ftz") => FlushedComparison(comparison),
            PtxType.F32 => FloatComparison<float>(comparison),
            PtxType.F64 => FloatComparison<double>(comparison),
            PtxType.S32 => IntegerComparison<int>(comparison),
            PtxType.S64 => IntegerComparison<long>(comparison),
            PtxType.U64 or PtxType.B64 => IntegerComparison<ulong>(comparison),
            PtxType.S16 => SignedComparison16(comparison),
            PtxType.U32 or PtxType.B32 or PtxType.U16 or PtxType.B16 => IntegerComparison<uint>(comparison),
            _ => throw Error("is not supported"),
        };
    }

    private delegate*<Warp, Instruction*, void> IntegerComparison<T>(string comparison)
        where T : unmanaged => comparison switch
        {
            "eq" => &Handlers.Compare<T, Equal<T>>,
            "ne" => &Handlers.Compare<T, Inverse<T, Equal<T>>>,
            "lt" or "lo" => &Handlers.Compare<T, Less<T>>,
            "le" or "ls" => &Handlers.Compare<T, LessOrEqual<T>>,
            "gt" or "hi" => &Handlers.Compare<T, Greater<T>>,
            "ge" or "hs" => &Handlers.Compare<T, GreaterOrEqual<T>>,
            _ => throw Error("is not supported"),
        };

    private delegate*<Warp, Instruction*, void> SignedComparison16(string comparison) => comparison switch
    {
        "eq" => &Handlers.Compare<uint, Equal<uint>>,
        "ne" => &Handlers.Compare<uint, Inverse<uint, Equal<uint>>>,
        "lt" => &Handlers.Compare<uint, SignedCompare16<Less<int>>>,
        "le" => &Handlers.Compare<uint, SignedCompare16<LessOrEqual<int>>>,
        "gt" => &Handlers.Compare<uint, SignedCompare16<Greater<int>>>,
        "ge" => &Handlers.Compare<uint, SignedCompare16<GreaterOrEqual<int>>>,
        _ => throw Error("is not supported"),
    };

    private delegate*<Warp, Instruction*, void> FloatComparison<T>(string comparison)
        where T : unmanaged => comparison switch
        {
            "eq" => &Handlers.Compare<T, Equal<T>>,
            "ne" => &Handlers.Compare<T, OrderedInverse<T, Equal<T>>>,
            "lt" => &Handlers.Compare<T, Less<T>>,
            "le" => &Handlers.Compare<T, LessOrEqual<T>>,
            "gt" => &Handlers.Compare<T, Greater<T>>,
            "ge" => &Handlers.Compare<T, GreaterOrEqual<T>>,
            "equ" => &Handlers.Compare<T, Inverse<T, OrderedInverse<T, Equal<T>>>>,
            "neu" => &Handlers.Compare<T, Inverse<T, Equal<T>>>,
            "ltu" => &Handlers.Compare<T, Inverse<T, GreaterOrEqual<T>>>,
            "leu" => &Handlers.Compare<T, Inverse<T, Greater<T>>>,
            "gtu" => &Handlers.Compare<T, Inverse<T, LessOrEqual<T>>>,
            "geu" => &Handlers.Compare<T, Inverse<T, Less<T>>>,
            "num" => &Handlers.Compare<T, Ordered<T>>,
            "nan" => &Handlers.Compare<T, Inverse<T, Ordered<T>>>,
            _ => throw Error("is not supported"),
        };

    private delegate*<Warp, Instruction*, void> FlushedComparison(string comparison) => comparison switch
    {
        "eq" => &Handlers.Compare<float, FlushCompare<Equal<float>>>,
        "ne" => &Handlers.Compare<float, FlushCompare<OrderedInverse<float, Equal<float>>>>,
        "lt" => &Handlers.Compare<float, FlushCompare<Less<float>>>,
        "le" => &Handlers.Compare<float, FlushCompare<LessOrEqual<float>>>,
        "gt" => &Handlers.Compare<float, FlushCompare<Greater<float>>>,
        "ge" => &Handlers.Compare<float, FlushCompare<GreaterOrEqual<float>>>,
        "neu" => &Handlers.Compare<float, FlushCompare<Inverse<float, Equal<float>>>>,
        _ => throw Error("is not supported"),
    };
}
