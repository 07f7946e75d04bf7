using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>shl.b32: counts past 31 give 0.</summary>
internal readonly struct ShiftLeft32 : IBinary<uint>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a, Vector512<uint> b)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ShiftLeftLogicalVariable(a, b);
        Vector512<uint> result = default;
        for (int lane = 0; lane < Vector512<uint>.Count; lane++)
            result = result.WithElement(lane, b[lane] > 31 ? 0 : a[lane] << (int)b[lane]);
        return result;
    }
}

/// <summary>shr.u32 and shr.b32: counts past 31 give 0.</summary>
internal readonly struct ShiftRight32 : IBinary<uint>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a, Vector512<uint> b)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ShiftRightLogicalVariable(a, b);
        Vector512<uint> result = default;
        for (int lane = 0; lane < Vector512<uint>.Count; lane++)
            result = result.WithElement(lane, b[lane] > 31 ? 0 : a[lane] >> (int)b[lane]);
        return result;
    }
}

/// <summary>shr.s32: counts past 31 give the sign everywhere.</summary>
internal readonly struct ShiftRightSigned32 : IBinary<int>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Apply(Vector512<int> a, Vector512<int> b)
    {
        if (Avx512F.IsSupported)
            return Avx512F.ShiftRightArithmeticVariable(a, b.AsUInt32());
        Vector512<int> result = default;
        for (int lane = 0; lane < Vector512<int>.Count; lane++)
            result = result.WithElement(lane, a[lane] >> (int)Math.Min((uint)b[lane], 31));
        return result;
    }
}

/// <summary>shr.s16: the value is sign-extended, the count is not.</summary>
internal readonly struct ShiftRightSigned16 : IBinary<uint>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a, Vector512<uint> b) =>
        Word16.Low(ShiftRightSigned32.Apply(Word16.Extend(a), b.AsInt32()).AsUInt32());
}

internal readonly struct DivideUnsigned32 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => a / b;
}

internal readonly struct DivideSigned32 : ILaneBinary<int>
{
    public static int Apply(int a, int b) => b == -1 ? unchecked(-a) : a / b;
}

internal readonly struct DivideUnsigned64 : ILaneBinary<ulong>
{
    public static ulong Apply(ulong a, ulong b) => a / b;
}

internal readonly struct DivideSigned64 : ILaneBinary<long>
{
    public static long Apply(long a, long b) => b == -1 ? unchecked(-a) : a / b;
}

internal readonly struct RemainderUnsigned32 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => a % b;
}

internal readonly struct RemainderSigned32 : ILaneBinary<int>
{
    public static int Apply(int a, int b) => b == -1 ? 0 : a % b;
}

internal readonly struct RemainderUnsigned64 : ILaneBinary<ulong>
{
    public static ulong Apply(ulong a, ulong b) => a % b;
}

internal readonly struct RemainderSigned64 : ILaneBinary<long>
{
    public static long Apply(long a, long b) => b == -1 ? 0 : a % b;
}

internal readonly struct HighUnsigned32 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => (uint)(((ulong)a * b) >> 32);
}

internal readonly struct HighSigned32 : ILaneBinary<int>
{
    public static int Apply(int a, int b) => (int)(((long)a * b) >> 32);
}

internal readonly struct HighUnsigned64 : ILaneBinary<ulong>
{
    public static ulong Apply(ulong a, ulong b) => Math.BigMul(a, b, out _);
}

internal readonly struct HighSigned64 : ILaneBinary<long>
{
    public static long Apply(long a, long b) => Math.BigMul(a, b, out _);
}

/// <summary>mul.hi.u16.</summary>
internal readonly struct HighUnsigned16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => (a * b) >> 16;
}

internal readonly struct HighSigned16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => (uint)(((short)a * (short)b) >> 16) & 0xFFFF;
}

internal readonly struct WideSigned16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => (uint)((short)a * (short)b);
}

internal readonly struct DivideSigned16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => (uint)((short)a / (short)b) & 0xFFFF;
}

internal readonly struct RemainderSigned16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => (uint)((short)a % (short)b) & 0xFFFF;
}

internal readonly struct HighAddUnsigned32 : ILaneTernary<uint>
{
    public static uint Apply(uint a, uint b, uint c) => HighUnsigned32.Apply(a, b) + c;
}

internal readonly struct HighAddSigned32 : ILaneTernary<int>
{
    public static int Apply(int a, int b, int c) => HighSigned32.Apply(a, b) + c;
}

internal readonly struct HighAddUnsigned64 : ILaneTernary<ulong>
{
    public static ulong Apply(ulong a, ulong b, ulong c) => HighUnsigned64.Apply(a, b) + c;
}

internal readonly struct HighAddSigned64 : ILaneTernary<long>
{
    public static long Apply(long a, long b, long c) => HighSigned64.Apply(a, b) + c;
}

internal readonly struct SumOfDifferences32 : ILaneTernary<uint>
{
    public static uint Apply(uint a, uint b, uint c) => c + (a > b ? a - b : b - a);
}

internal readonly struct SumOfSignedDifferences32 : ILaneTernary<int>
{
    public static int Apply(int a, int b, int c) => unchecked(c + (a > b ? a - b : b - a));
}

internal readonly struct PopulationCount32 : ILaneUnary<uint, uint>
{
    public static uint Apply(uint a) => (uint)BitOperations.PopCount(a);
}

internal readonly struct PopulationCount64 : ILaneUnary<ulong, uint>
{
    public static uint Apply(ulong a) => (uint)BitOperations.PopCount(a);
}

internal readonly struct LeadingZeros32 : ILaneUnary<uint, uint>
{
    public static uint Apply(uint a) => (uint)BitOperations.LeadingZeroCount(a);
}

internal readonly struct LeadingZeros64 : ILaneUnary<ulong, uint>
{
    public static uint Apply(ulong a) => (uint)BitOperations.LeadingZeroCount(a);
}

/// <summary>bfind.u32: the place of the highest set bit, all ones for 0.</summary>
internal readonly struct FindHighest32 : ILaneUnary<uint, uint>
{
    public static uint Apply(uint a) => a == 0 ? uint.MaxValue : (uint)BitOperations.Log2(a);
}

internal readonly struct FindHighestSigned32 : ILaneUnary<uint, uint>
{
    public static uint Apply(uint a) => FindHighest32.Apply((int)a < 0 ? ~a : a);
}

internal readonly struct FindHighest64 : ILaneUnary<ulong, uint>
{
    public static uint Apply(ulong a) => a == 0 ? uint.MaxValue : (uint)BitOperations.Log2(a);
}

internal readonly struct ReverseBits32 : ILaneUnary<uint, uint>
{
    public static uint Apply(uint a)
    {
        a = ((a >> 1) & 0x55555555) | ((a & 0x55555555) << 1);
        a = ((a >> 2) & 0x33333333) | ((a & 0x33333333) << 2);
        a = ((a >> 4) & 0x0F0F0F0F) | ((a & 0x0F0F0F0F) << 4);
        return System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(a);
    }
}

internal readonly struct ReverseBits64 : ILaneUnary<ulong, ulong>
{
    public static ulong Apply(ulong a) => ((ulong)ReverseBits32.Apply((uint)a) << 32) | ReverseBits32.Apply((uint)(a >> 32));
}

/// <summary>bfe.u32: the field of c's low 8 bits of length from b's low 8 bits of position.</summary>
internal readonly struct ExtractUnsigned32 : ILaneTernary<uint>
{
    public static uint Apply(uint a, uint b, uint c)
    {
        int at = (int)(b & 0xFF);
        int length = (int)(c & 0xFF);
        ulong field = at > 31 ? 0 : a >> at;
        return (uint)(length > 31 ? field : field & ((1ul << length) - 1));
    }
}

/// <summary>bfe.s32: bits past the field, or past the word, repeat the field's highest bit.</summary>
internal readonly struct ExtractSigned32 : ILaneTernary<uint>
{
    public static uint Apply(uint a, uint b, uint c)
    {
        int at = (int)(b & 0xFF);
        int length = (int)(c & 0xFF);
        if (length == 0)
            return 0;
        int highest = Math.Min(at + length - 1, 31);
        bool sign = ((a >> highest) & 1) != 0;
        ulong field = at > 31 ? 0 : a >> at;
        int known = Math.Max(0, Math.Min(length, 32 - at));
        ulong mask = known > 31 ? uint.MaxValue : (1ul << known) - 1;
        return (uint)((field & mask) | (sign ? ~mask : 0));
    }
}

internal readonly struct ExtractUnsigned64 : ILaneTernary<ulong>
{
    public static ulong Apply(ulong a, ulong b, ulong c)
    {
        int at = (int)(b & 0xFF);
        int length = (int)(c & 0xFF);
        ulong field = at > 63 ? 0 : a >> at;
        return length > 63 ? field : field & ((1ul << length) - 1);
    }
}

/// <summary>lop3.b32 of any table: one term for each of its bits.</summary>
internal static unsafe class LogicHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Table(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        uint table = (uint)instruction->Immediate;
        for (int piece = 0; piece < 2; piece++)
        {
            Vector512<uint> a = Lanes.Load<uint>(registers + instruction->A, piece);
            Vector512<uint> b = Lanes.Load<uint>(registers + instruction->B, piece);
            Vector512<uint> c = Lanes.Load<uint>(registers + instruction->C, piece);
            Vector512<uint> result = default;
            for (int term = 0; term < 8; term++)
            {
                if ((table >> term & 1) != 0)
                    result |= ((term & 4) != 0 ? a : ~a) & ((term & 2) != 0 ? b : ~b) & ((term & 1) != 0 ? c : ~c);
            }

            Lanes.Put(warp, registers + instruction->D, piece, result);
        }
    }
}

/// <summary>lop3 0xEA: (a &amp; b) | c, by which INT4 becomes BF16.</summary>
internal readonly struct AndOr : ITernary<uint>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c) => (a & b) | c;
}
