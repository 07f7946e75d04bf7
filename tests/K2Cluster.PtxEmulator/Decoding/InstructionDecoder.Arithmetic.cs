using K2Cluster.PtxEmulator.Arithmetic;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>Integers and bits.</summary>
internal sealed unsafe partial class InstructionDecoder
{
    private void DecodeArithmetic(ref Instruction instruction)
    {
        // The mode of a prmt stands after its type.
        PtxType type = _statement.Parts[0] == "prmt" ? PtxType.B32 : LastType;
        if (type == PtxType.Pred)
            DecodePredicate(ref instruction);
        else if (type.IsFloat())
            DecodeFloat(ref instruction, type);
        else
            DecodeInteger(ref instruction, type);
    }

    private void DecodeInteger(ref Instruction instruction, PtxType type)
    {
        string operation = _statement.Parts[0];
        switch (operation)
        {
            case "add" or "sub" or "and" or "or" or "xor" or "min" or "max" or "div" or "rem":
                Allow();
                Operands(ref instruction, type, type, type);
                instruction.Handler = type.Bytes() switch
                {
                    2 => Integer16(operation, type.IsSigned()),
                    4 => Integer32(operation, type.IsSigned()),
                    _ => Integer64(operation, type.IsSigned()),
                };
                break;
            case "mul" or "mad":
                DecodeProduct(ref instruction, type, operation == "mad");
                break;
            case "shl" or "shr":
                Allow();
                Operands(ref instruction, type, type, PtxType.U32);
                instruction.Handler = Shift(operation == "shl", type);
                break;
            case "not" or "neg" or "abs":
                Allow();
                Operands(ref instruction, type, type);
                instruction.Handler = UnaryInteger(operation, type);
                break;
            case "popc" or "clz" or "bfind":
                Allow();
                Operands(ref instruction, PtxType.U32, type);
                instruction.Handler = Count(operation, type);
                break;
            case "brev":
                Allow();
                Operands(ref instruction, type, type);
                if (type.Bytes() == 8)
                    instruction.Handler = &Handlers.Lane<ulong, ulong, ReverseBits64>;
                else
                    instruction.Handler = &Handlers.Lane<uint, uint, ReverseBits32>;
                break;
            default:
                DecodeBits(ref instruction, type, operation);
                break;
        }
    }

    private void DecodeBits(ref Instruction instruction, PtxType type, string operation)
    {
        switch (operation)
        {
            case "lop3":
                Allow();
                Operands(ref instruction, type, type, type, type);
                instruction.Immediate = Constant(4);
                if (instruction.Immediate == 0xEA)
                    instruction.Handler = &Handlers.Ternary<uint, AndOr>;
                else
                    instruction.Handler = &LogicHandlers.Table;
                break;
            case "bfe":
                Allow();
                if (type == PtxType.U64)
                {
                    Operands(ref instruction, type, type);
                    instruction.B = WideConstant(2);
                    instruction.C = WideConstant(3);
                    instruction.Handler = &Handlers.LaneTriple<ulong, ExtractUnsigned64>;
                    break;
                }

                Operands(ref instruction, type, type, PtxType.U32, PtxType.U32);
                if (type == PtxType.U32)
                    instruction.Handler = &Handlers.LaneTriple<uint, ExtractUnsigned32>;
                else if (type == PtxType.S32)
                    instruction.Handler = &Handlers.LaneTriple<uint, ExtractSigned32>;
                else
                    throw Error("is not supported");
                break;
            case "bfi" when type.Bytes() == 4:
                Allow();
                Operands(ref instruction, type, type, type, PtxType.U32);
                instruction.D2 = Source(4, PtxType.U32);
                instruction.Handler = &BitHandlers.Insert32;
                break;
            case "shf":
                Allow("l", "r", "clamp", "wrap");
                Operands(ref instruction, type, type, type, PtxType.U32);
                instruction.Immediate = (_statement.Has("r") ? 1 : 0) | (_statement.Has("wrap") ? 2 : 0);
                instruction.Handler = &BitHandlers.Funnel;
                break;
            case "prmt":
                Allow("f4e", "b4e", "rc8", "ecl", "ecr", "rc16");
                string[] modes = ["b32", "f4e", "b4e", "rc8", "ecl", "ecr", "rc16"];
                Operands(ref instruction, type, type, type, type);
                instruction.Immediate = Math.Max(0, Array.FindIndex(modes, 1, _statement.Has));
                instruction.Handler = &BitHandlers.Permute;
                break;
            case "sad" when type.Bytes() == 4:
                Allow();
                Operands(ref instruction, type, type, type, type);
                if (type == PtxType.S32)
                    instruction.Handler = &Handlers.LaneTriple<int, SumOfSignedDifferences32>;
                else
                    instruction.Handler = &Handlers.LaneTriple<uint, SumOfDifferences32>;
                break;
            default:
                throw Error("is not supported");
        }
    }

    private int WideConstant(int index) => _registers.Constant(wide: true, (ulong)Constant(index));

    private void DecodeProduct(ref Instruction instruction, PtxType type, bool add)
    {
        Allow("lo", "hi", "wide");
        bool signed = type.IsSigned();
        if (_statement.Has("wide"))
        {
            PtxType result = type.Bytes() == 4 ? (signed ? PtxType.S64 : PtxType.U64) : (signed ? PtxType.S32 : PtxType.U32);
            Operands(ref instruction, result, type, type);
            if (add)
                instruction.C = Source(3, result);
            instruction.Handler = (type.Bytes(), add, signed) switch
            {
                (4, false, false) => &BitHandlers.WideUnsigned32,
                (4, false, true) => &BitHandlers.WideSigned32,
                (4, true, false) => &BitHandlers.WideAddUnsigned32,
                (4, true, true) => &BitHandlers.WideAddSigned32,
                (2, false, false) => &Handlers.Binary<uint, Multiply<uint>>,
                (2, false, true) => &Handlers.LanePair<uint, WideSigned16>,
                (2, true, false) => &Handlers.Ternary<uint, MultiplyAdd<uint>>,
                _ => throw Error("is not supported"),
            };
            return;
        }

        Operands(ref instruction, type, type, type);
        if (add)
            instruction.C = Source(3, type);
        instruction.Handler = (type.Bytes(), add, _statement.Has("hi"), signed) switch
        {
            (4, false, false, _) => &Handlers.Binary<uint, Multiply<uint>>,
            (4, true, false, _) => &Handlers.Ternary<uint, MultiplyAdd<uint>>,
            (8, false, false, _) => &Handlers.Binary<ulong, Multiply<ulong>>,
            (8, true, false, _) => &Handlers.Ternary<ulong, MultiplyAdd<ulong>>,
            (2, false, false, _) => &Handlers.Binary<uint, Binary16<Multiply<uint>>>,
            (2, true, false, _) => &Handlers.Ternary<uint, Ternary16<MultiplyAdd<uint>>>,
            (4, false, true, false) => &Handlers.LanePair<uint, HighUnsigned32>,
            (4, false, true, true) => &Handlers.LanePair<int, HighSigned32>,
            (4, true, true, false) => &Handlers.LaneTriple<uint, HighAddUnsigned32>,
            (4, true, true, true) => &Handlers.LaneTriple<int, HighAddSigned32>,
            (8, false, true, false) => &Handlers.LanePair<ulong, HighUnsigned64>,
            (8, false, true, true) => &Handlers.LanePair<long, HighSigned64>,
            (8, true, true, false) => &Handlers.LaneTriple<ulong, HighAddUnsigned64>,
            (8, true, true, true) => &Handlers.LaneTriple<long, HighAddSigned64>,
            (2, false, true, false) => &Handlers.LanePair<uint, HighUnsigned16>,
            (2, false, true, true) => &Handlers.LanePair<uint, HighSigned16>,
            _ => throw Error("is not supported"),
        };
    }

    private static delegate*<Warp, Instruction*, void> Integer32(string operation, bool signed) => (operation, signed) switch
    {
        ("add", _) => &Handlers.Binary<uint, Add<uint>>,
        ("sub", _) => &Handlers.Binary<uint, Subtract<uint>>,
        ("and", _) => &Handlers.Binary<uint, And<uint>>,
        ("or", _) => &Handlers.Binary<uint, Or<uint>>,
        ("xor", _) => &Handlers.Binary<uint, ExclusiveOr<uint>>,
        ("min", false) => &Handlers.Binary<uint, Smaller<uint>>,
        ("min", true) => &Handlers.Binary<int, Smaller<int>>,
        ("max", false) => &Handlers.Binary<uint, Larger<uint>>,
        ("max", true) => &Handlers.Binary<int, Larger<int>>,
        ("div", false) => &Handlers.Division<uint, DivideUnsigned32>,
        ("div", true) => &Handlers.Division<int, DivideSigned32>,
        ("rem", false) => &Handlers.Division<uint, RemainderUnsigned32>,
        _ => &Handlers.Division<int, RemainderSigned32>,
    };

    private static delegate*<Warp, Instruction*, void> Integer64(string operation, bool signed) => (operation, signed) switch
    {
        ("add", _) => &Handlers.Binary<ulong, Add<ulong>>,
        ("sub", _) => &Handlers.Binary<ulong, Subtract<ulong>>,
        ("and", _) => &Handlers.Binary<ulong, And<ulong>>,
        ("or", _) => &Handlers.Binary<ulong, Or<ulong>>,
        ("xor", _) => &Handlers.Binary<ulong, ExclusiveOr<ulong>>,
        ("min", false) => &Handlers.Binary<ulong, Smaller<ulong>>,
        ("min", true) => &Handlers.Binary<long, Smaller<long>>,
        ("max", false) => &Handlers.Binary<ulong, Larger<ulong>>,
        ("max", true) => &Handlers.Binary<long, Larger<long>>,
        ("div", false) => &Handlers.Division<ulong, DivideUnsigned64>,
        ("div", true) => &Handlers.Division<long, DivideSigned64>,
        ("rem", false) => &Handlers.Division<ulong, RemainderUnsigned64>,
        _ => &Handlers.Division<long, RemainderSigned64>,
    };

    private static delegate*<Warp, Instruction*, void> Integer16(string operation, bool signed) => (operation, signed) switch
    {
        ("add", _) => &Handlers.Binary<uint, Binary16<Add<uint>>>,
        ("sub", _) => &Handlers.Binary<uint, Binary16<Subtract<uint>>>,
        ("and", _) => &Handlers.Binary<uint, And<uint>>,
        ("or", _) => &Handlers.Binary<uint, Or<uint>>,
        ("xor", _) => &Handlers.Binary<uint, ExclusiveOr<uint>>,
        ("min", false) => &Handlers.Binary<uint, Smaller<uint>>,
        ("min", true) => &Handlers.Binary<uint, SignedBinary16<Smaller<int>>>,
        ("max", false) => &Handlers.Binary<uint, Larger<uint>>,
        ("max", true) => &Handlers.Binary<uint, SignedBinary16<Larger<int>>>,
        ("div", false) => &Handlers.Division<uint, DivideUnsigned32>,
        ("div", true) => &Handlers.Division<uint, DivideSigned16>,
        ("rem", false) => &Handlers.Division<uint, RemainderUnsigned32>,
        _ => &Handlers.Division<uint, RemainderSigned16>,
    };

    private static delegate*<Warp, Instruction*, void> Shift(bool left, PtxType type) => (type.Bytes(), left, type.IsSigned()) switch
    {
        (4, true, _) => &Handlers.Binary<uint, ShiftLeft32>,
        (4, false, false) => &Handlers.Binary<uint, ShiftRight32>,
        (4, false, true) => &Handlers.Binary<int, ShiftRightSigned32>,
        (8, true, _) => &BitHandlers.ShiftLeft64,
        (8, false, false) => &BitHandlers.ShiftRight64,
        (8, false, true) => &BitHandlers.ShiftRightSigned64,
        (_, true, _) => &Handlers.Binary<uint, Binary16<ShiftLeft32>>,
        (_, false, false) => &Handlers.Binary<uint, ShiftRight32>,
        _ => &Handlers.Binary<uint, ShiftRightSigned16>,
    };

    private static delegate*<Warp, Instruction*, void> UnaryInteger(string operation, PtxType type) => (operation, type.Bytes()) switch
    {
        ("not", 4) => &Handlers.Unary<uint, Not<uint>>,
        ("not", 8) => &Handlers.Unary<ulong, Not<ulong>>,
        ("not", _) => &Handlers.Unary<uint, Unary16<Not<uint>>>,
        ("neg", 4) => &Handlers.Unary<uint, Negate<uint>>,
        ("neg", 8) => &Handlers.Unary<ulong, Negate<ulong>>,
        ("neg", _) => &Handlers.Unary<uint, Unary16<Negate<uint>>>,
        (_, 4) => &Handlers.Unary<int, Absolute<int>>,
        (_, 8) => &Handlers.Unary<long, Absolute<long>>,
        _ => &Handlers.Unary<uint, SignedUnary16<Absolute<int>>>,
    };

    private delegate*<Warp, Instruction*, void> Count(string operation, PtxType type) => (operation, type) switch
    {
        ("popc", PtxType.B32) => &Handlers.Lane<uint, uint, PopulationCount32>,
        ("popc", PtxType.B64) => &Handlers.Lane<ulong, uint, PopulationCount64>,
        ("clz", PtxType.B32) => &Handlers.Lane<uint, uint, LeadingZeros32>,
        ("clz", PtxType.B64) => &Handlers.Lane<ulong, uint, LeadingZeros64>,
        ("bfind", PtxType.U32) => &Handlers.Lane<uint, uint, FindHighest32>,
        ("bfind", PtxType.S32) => &Handlers.Lane<uint, uint, FindHighestSigned32>,
        ("bfind", PtxType.U64) => &Handlers.Lane<ulong, uint, FindHighest64>,
        _ => throw Error("is not supported"),
    };

    private void Operands(ref Instruction instruction, PtxType result, PtxType a)
    {
        instruction.D = Destination(0, result);
        instruction.A = Source(1, a);
    }

    private void Operands(ref Instruction instruction, PtxType result, PtxType a, PtxType b)
    {
        Operands(ref instruction, result, a);
        instruction.B = Source(2, b);
    }

    private void Operands(ref Instruction instruction, PtxType result, PtxType a, PtxType b, PtxType c)
    {
        Operands(ref instruction, result, a, b);
        instruction.C = Source(3, c);
    }
}
