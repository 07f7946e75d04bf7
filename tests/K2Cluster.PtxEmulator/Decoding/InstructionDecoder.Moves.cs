using K2Cluster.PtxEmulator.Arithmetic;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>Predicates, moves, addresses, selections and conversions.</summary>
internal sealed unsafe partial class InstructionDecoder
{
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
}
