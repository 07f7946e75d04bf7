using K2Cluster.PtxEmulator.Arithmetic;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>Integers, bits, predicates, moves and conversions.</summary>
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

    private void DecodePredicate(ref Instruction instruction)
    {
        Allow();
        instruction.D = PredicateDestination(Operand(0));
        instruction.A = PredicateSource(Operand(1));
        instruction.Immediate = Operand(1).Negated ? 1 : 0;
        switch (_statement.Parts[0])
        {
            case "mov":
                instruction.Handler = &PredicateHandlers.Move;
                _isCopy = Operand(1).Kind == PtxOperandKind.Register;
                return;
            case "not":
                instruction.Handler = &PredicateHandlers.Not;
                return;
        }

        instruction.B = PredicateSource(Operand(2));
        if (Operand(2).Negated)
            instruction.Immediate |= 2;
        instruction.Handler = _statement.Parts[0] switch
        {
            "and" => &PredicateHandlers.And,
            "or" => &PredicateHandlers.Or,
            "xor" => &PredicateHandlers.Xor,
            _ => throw Error("is not supported"),
        };
    }

    private void DecodeMove(ref Instruction instruction)
    {
        Allow();
        PtxType type = LastType;
        if (type == PtxType.Pred)
        {
            DecodePredicate(ref instruction);
            return;
        }

        if (Operand(0).Kind == PtxOperandKind.Vector || Operand(1).Kind == PtxOperandKind.Vector)
        {
            DecodePack(ref instruction, type);
            return;
        }

        instruction.D = Destination(0, type);
        instruction.A = Source(1, type);
        _isCopy = Operand(1).Kind == PtxOperandKind.Register;
        if (type.Bytes() == 8)
            instruction.Handler = &Handlers.Unary<ulong, Copy<ulong>>;
        else
            instruction.Handler = &Handlers.Unary<uint, Copy<uint>>;
    }

    /// <summary>mov between a register and the halves (or quarters) of it.</summary>
    private void DecodePack(ref Instruction instruction, PtxType type)
    {
        bool pack = Operand(1).Kind == PtxOperandKind.Vector;
        PtxOperand[] parts = (pack ? Operand(1) : Operand(0)).Parts;
        PtxType part = (type.Bytes() / parts.Length) switch
        {
            4 => PtxType.B32,
            2 => PtxType.B16,
            _ => throw Error("is not supported"),
        };
        instruction.Elements = parts.Length;
        instruction.Vector = _vectors.Count;
        instruction.Immediate = 8 * part.Bytes();
        instruction.WideAddress = type.Bytes() == 8;
        if (pack)
        {
            instruction.D = Destination(0, type);
            foreach (PtxOperand element in parts)
                _vectors.Add(Source(element, part));
            instruction.Handler = &BitHandlers.Pack;
        }
        else
        {
            instruction.A = Source(1, type);
            foreach (PtxOperand element in parts)
                _vectors.Add(Destination(element, part));
            instruction.Handler = &BitHandlers.Unpack;
        }
    }

    private void DecodeAddressConversion(ref Instruction instruction)
    {
        Allow("to", "global", "shared", "shared::cta", "const", "param");
        PtxType type = LastType;
        if (type.Bytes() != 8)
            throw Error("is not supported");
        Operands(ref instruction, type, type);
        if (Space != PtxSpace.Shared)
        {
            instruction.Handler = &Handlers.Unary<ulong, Copy<ulong>>;
            return;
        }

        bool to = _statement.Has("to");
        instruction.B = _registers.Constant(wide: true, to ? unchecked(0 - SharedMemory.Window) : SharedMemory.Window);
        instruction.Handler = &Handlers.Binary<ulong, Add<ulong>>;
    }

    private void DecodeSelect(ref Instruction instruction)
    {
        Allow();
        PtxType type = LastType;
        Operands(ref instruction, type, type, type);
        instruction.C = PredicateSource(Operand(3));
        instruction.Immediate = Operand(3).Negated ? 1 : 0;
        if (type.Bytes() == 8)
            instruction.Handler = &Handlers.Select<ulong>;
        else
            instruction.Handler = &Handlers.Select<uint>;
    }

    private void DecodeConvert(ref Instruction instruction)
    {
        Allow("rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", "ftz", "sat");
        PtxType to = PtxTypes.Parse(_statement.Parts[^2]);
        PtxType from = LastType;
        if (to is PtxType.BF16x2 && from is PtxType.F32 && _statement.Has("rn"))
        {
            instruction.D = Destination(0, PtxType.B32);
            instruction.A = Source(1, from);
            instruction.B = Source(2, from);
            instruction.Handler = &ConversionHandlers.ToBf16Pair;
            return;
        }

        if (to is PtxType.None or PtxType.BF16x2 or PtxType.F16x2)
            throw Error("is not supported");
        string rounding = _statement.Parts.FirstOrDefault(part => part is ['r', 'n' or 'z' or 'm' or 'p'] or ['r', _, 'i']) ?? "";
        Conversion conversion = new(to, from, rounding.Length > 1 ? rounding[1] : '\0', rounding.Length == 3, _statement.Has("ftz"), _statement.Has("sat"));
        PtxOperand target = Operand(0);
        PtxType register = RegisterType(target) is not PtxType.None and PtxType found ? found : to;
        instruction.D = Destination(target, register);
        PtxType source = RegisterType(Operand(1));
        instruction.A = Source(1, from.Bytes() == 8 || source.Bytes() == 8 ? PtxType.B64 : from);
        instruction.Elements = register.Bytes() == 8 ? 8 : 4;
        instruction.Narrow = register.Bytes() == 2;
        instruction.Immediate = conversion.Packed;
        instruction.Handler = ConvertHandler(conversion, register, source);
    }

    private static delegate*<Warp, Instruction*, void> ConvertHandler(Conversion conversion, PtxType register, PtxType source)
    {
        bool plain = conversion is { Saturate: false, Flush: false };
        if (conversion is { To: PtxType.BF16, From: PtxType.F32, Rounding: 'n' } && plain)
            return &ConversionHandlers.ToBf16;
        if (plain && !conversion.To.IsFloat() && !conversion.From.IsFloat())
        {
            switch (conversion.From.Bytes(), conversion.To.Bytes())
            {
                case (4, 8) when source.Bytes() == 4:
                    return conversion.From.IsSigned() ? &ConversionHandlers.WidenSigned : &ConversionHandlers.WidenUnsigned;
                case (8, 4) when register.Bytes() == 4:
                    return &ConversionHandlers.Narrow;
                case (2, 4) when source.Bytes() == 2 && register.Bytes() == 4 && !conversion.From.IsSigned():
                    return &Handlers.Unary<uint, Copy<uint>>;
                case (4, 2) when register.Bytes() == 2 && source.Bytes() == 4:
                    return &Handlers.Unary<uint, Unary16<Copy<uint>>>;
            }
        }

        return source.Bytes() == 8 || conversion.From.Bytes() == 8 ? &ConversionHandlers.AnyWide : &ConversionHandlers.Any;
    }

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
