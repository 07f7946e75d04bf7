using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>How cvt reads and writes its types; packed into <see cref="Instruction.Immediate"/>.</summary>
/// <param name="Rounding">'n', 'z', 'm', 'p'; 0 for none.</param>
/// <param name="Integer">The rounding is to an integer (.rni and so on).</param>
internal readonly record struct Conversion(PtxType To, PtxType From, char Rounding, bool Integer, bool Flush, bool Saturate)
{
    public long Packed => (long)To | ((long)From << 8) | ((long)Rounding << 16) | (Integer ? 1L << 32 : 0) | (Flush ? 1L << 33 : 0) | (Saturate ? 1L << 34 : 0);

    public static Conversion Unpack(long packed) => new(
        (PtxType)(packed & 0xFF), (PtxType)((packed >> 8) & 0xFF), (char)((packed >> 16) & 0xFF), (packed & (1L << 32)) != 0, (packed & (1L << 33)) != 0, (packed & (1L << 34)) != 0);
}

/// <summary>cvt: the frequent ones in vectors, any other lane by lane.</summary>
internal static unsafe class ConversionHandlers
{
    public static void WidenUnsigned(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 2; piece++)
        {
            (Vector512<ulong> low, Vector512<ulong> high) = Vector512.Widen(Lanes.Load<uint>(registers + instruction->A, piece));
            Lanes.Put(warp, registers + instruction->D, 2 * piece, low);
            Lanes.Put(warp, registers + instruction->D, (2 * piece) + 1, high);
        }
    }

    public static void WidenSigned(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 2; piece++)
        {
            (Vector512<long> low, Vector512<long> high) = Vector512.Widen(Lanes.Load<int>(registers + instruction->A, piece));
            Lanes.Put(warp, registers + instruction->D, 2 * piece, low);
            Lanes.Put(warp, registers + instruction->D, (2 * piece) + 1, high);
        }
    }

    public static void Narrow(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 2; piece++)
        {
            Vector512<uint> value = Vector512.Narrow(
                Lanes.Load<ulong>(registers + instruction->A, 2 * piece) & Vector512.Create(0xFFFFFFFFul),
                Lanes.Load<ulong>(registers + instruction->A, (2 * piece) + 1) & Vector512.Create(0xFFFFFFFFul));
            Lanes.Put(warp, registers + instruction->D, piece, value);
        }
    }

    /// <summary>cvt.rn.bf16.f32, and cvt.rn.bf16x2.f32 where a second operand makes the low half.</summary>
    public static void ToBf16(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 2; piece++)
            Lanes.Put(warp, registers + instruction->D, piece, RoundBf16(Lanes.Load<float>(registers + instruction->A, piece)));
    }

    public static void ToBf16Pair(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 2; piece++)
        {
            Vector512<uint> high = RoundBf16(Lanes.Load<float>(registers + instruction->A, piece));
            Lanes.Put(warp, registers + instruction->D, piece, (high << 16) | RoundBf16(Lanes.Load<float>(registers + instruction->B, piece)));
        }
    }

    /// <summary>Any conversion, by <see cref="Conversion"/>, from a register of up to 32 bits.</summary>
    public static void Any(Warp warp, Instruction* instruction) => Any(warp, instruction, wideFrom: false);

    /// <summary>Any conversion, from a register of 64 bits.</summary>
    public static void AnyWide(Warp warp, Instruction* instruction) => Any(warp, instruction, wideFrom: true);

    private static void Any(Warp warp, Instruction* instruction, bool wideFrom)
    {
        Conversion conversion = Conversion.Unpack(instruction->Immediate);
        byte* a = warp.Registers + instruction->A;
        byte* d = warp.Registers + instruction->D;
        bool wideTo = instruction->Elements == 8;
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong value = Convert(conversion, wideFrom ? ((ulong*)a)[lane] : ((uint*)a)[lane]);
            if (wideTo)
                ((ulong*)d)[lane] = value;
            else
                ((uint*)d)[lane] = (uint)value & (instruction->Narrow ? 0xFFFFu : uint.MaxValue);
        }
    }

    /// <summary>From bits to bits, the result extended to 64 by its sign where the type has one.</summary>
    public static ulong Convert(Conversion conversion, ulong bits)
    {
        if (!conversion.From.IsFloat())
        {
            Int128 integer = Integer(conversion.From, bits);
            return conversion.To.IsFloat() ? FromInteger(conversion, integer) : Truncate(conversion, integer);
        }

        double value = Real(conversion.From, bits);
        if (conversion.Flush && conversion.From == PtxType.F32 && float.IsSubnormal((float)value))
            value = Math.CopySign(0, value);
        if (conversion.Integer || !conversion.To.IsFloat())
            value = ToWhole(value, conversion.Rounding);
        return conversion.To.IsFloat() ? FromReal(conversion, value) : ClampToInteger(conversion.To, value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> RoundBf16(Vector512<float> value)
    {
        Vector512<uint> bits = value.AsUInt32();
        Vector512<uint> rounded = (bits + Vector512.Create(0x7FFFu) + ((bits >> 16) & Vector512<uint>.One)) >> 16;
        return Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), rounded, Vector512.Create(0x7FFFu));
    }

    private static Int128 Integer(PtxType type, ulong bits) => type switch
    {
        PtxType.S8 => (sbyte)bits,
        PtxType.U8 or PtxType.B8 => (byte)bits,
        PtxType.S16 => (short)bits,
        PtxType.U16 or PtxType.B16 => (ushort)bits,
        PtxType.S32 => (int)bits,
        PtxType.U32 or PtxType.B32 => (uint)bits,
        PtxType.S64 => (long)bits,
        _ => bits,
    };

    private static double Real(PtxType type, ulong bits) => type switch
    {
        PtxType.F32 => BitConverter.UInt32BitsToSingle((uint)bits),
        PtxType.F64 => BitConverter.UInt64BitsToDouble(bits),
        PtxType.BF16 => Bf16.Value((uint)bits & 0xFFFF),
        _ => Bf16.Half((uint)bits & 0xFFFF),
    };

    private static ulong Truncate(Conversion conversion, Int128 value)
    {
        if (conversion.Saturate)
        {
            (Int128 least, Int128 most) = Range(conversion.To);
            value = value < least ? least : value > most ? most : value;
        }

        ulong bits = (ulong)(value & ulong.MaxValue);
        Int128 result = Integer(conversion.To, bits);
        return Int128.IsNegative(result) ? (ulong)(long)result : (ulong)result;
    }

    private static (Int128 Least, Int128 Most) Range(PtxType type)
    {
        int bits = 8 * type.Bytes();
        return type.IsSigned() ? (-(Int128.One << (bits - 1)), (Int128.One << (bits - 1)) - 1) : (0, (Int128.One << bits) - 1);
    }

    private static double ToWhole(double value, char rounding) => rounding switch
    {
        'n' => Math.Round(value, MidpointRounding.ToEven),
        'm' => Math.Floor(value),
        'p' => Math.Ceiling(value),
        _ => Math.Truncate(value),
    };

    /// <summary>Out of range goes to the nearest end; NaN to 0 (to the sign bit alone for 64 bits).</summary>
    private static ulong ClampToInteger(PtxType type, double value)
    {
        if (double.IsNaN(value))
            return type.Bytes() == 8 ? 1ul << 63 : 0;
        (Int128 least, Int128 most) = Range(type);
        Int128 integer = value <= (double)least ? least : value >= (double)most ? most : (Int128)value;
        return Int128.IsNegative(integer) ? (ulong)(long)integer : (ulong)integer;
    }

    private static ulong FromInteger(Conversion conversion, Int128 value)
    {
        if (conversion.To == PtxType.F64)
            return BitConverter.DoubleToUInt64Bits(conversion.Rounding is 'n' or '\0' ? (double)value : DirectedDouble(value, conversion.Rounding));
        // Exact in two parts, joined to odd.
        double joined = Rounding.AddToOdd((double)(long)(value >> 32) * 4294967296.0, (double)(uint)(value & uint.MaxValue));
        return FromReal(conversion, joined);
    }

    private static double DirectedDouble(Int128 value, char rounding)
    {
        double nearest = (double)value;
        Int128 back = (Int128)nearest;
        bool down = rounding == 'm' || (rounding == 'z' && value > 0);
        if (back == value)
            return nearest;
        if (down && back > value)
            return Math.BitDecrement(nearest);
        return !down && back < value ? Math.BitIncrement(nearest) : nearest;
    }

    private static ulong FromReal(Conversion conversion, double value)
    {
        if (conversion.Saturate)
            value = double.IsNaN(value) ? 0 : Math.Clamp(value, 0, 1);
        switch (conversion.To)
        {
            case PtxType.F64:
                return BitConverter.DoubleToUInt64Bits(value);
            case PtxType.BF16:
                return Rounding.ToBf16(value);
            case PtxType.F16:
                return Bf16.FromHalf((Half)value);
            default:
                if (double.IsNaN(value))
                    return Rounding.NotANumber;
                float single = Rounding.ToSingle(value, conversion.Rounding is '\0' || conversion.Integer ? 'n' : conversion.Rounding);
                if (conversion.Flush && float.IsSubnormal(single))
                    single = MathF.CopySign(0, single);
                return BitConverter.SingleToUInt32Bits(single);
        }
    }
}
