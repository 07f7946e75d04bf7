using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>Shifts of 64 bits (their count has 32), products of double width, fields, bytes.</summary>
internal static unsafe class BitHandlers
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ShiftLeft64(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 4; piece++)
        {
            Vector512<ulong> a = Lanes.Load<ulong>(registers + instruction->A, piece);
            Vector512<ulong> counts = Widen((uint*)(registers + instruction->B) + (8 * piece));
            Vector512<ulong> value;
            if (Avx512F.IsSupported)
            {
                value = Avx512F.ShiftLeftLogicalVariable(a, counts);
            }
            else
            {
                value = default;
                for (int lane = 0; lane < 8; lane++)
                    value = value.WithElement(lane, counts[lane] > 63 ? 0 : a[lane] << (int)counts[lane]);
            }

            Lanes.Put(warp, registers + instruction->D, piece, value);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ShiftRight64(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 4; piece++)
        {
            Vector512<ulong> a = Lanes.Load<ulong>(registers + instruction->A, piece);
            Vector512<ulong> counts = Widen((uint*)(registers + instruction->B) + (8 * piece));
            Vector512<ulong> value;
            if (Avx512F.IsSupported)
            {
                value = Avx512F.ShiftRightLogicalVariable(a, counts);
            }
            else
            {
                value = default;
                for (int lane = 0; lane < 8; lane++)
                    value = value.WithElement(lane, counts[lane] > 63 ? 0 : a[lane] >> (int)counts[lane]);
            }

            Lanes.Put(warp, registers + instruction->D, piece, value);
        }
    }

    public static void ShiftRightSigned64(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        long* a = (long*)(registers + instruction->A);
        uint* b = (uint*)(registers + instruction->B);
        long* d = (long*)(registers + instruction->D);
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            d[lane] = a[lane] >> (int)Math.Min(b[lane], 63);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WideUnsigned32(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 4; piece++)
        {
            Vector512<ulong> value = Widen((uint*)(registers + instruction->A) + (8 * piece)) * Widen((uint*)(registers + instruction->B) + (8 * piece));
            Lanes.Put(warp, registers + instruction->D, piece, value);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WideSigned32(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 4; piece++)
        {
            Vector512<long> value = Widen((int*)(registers + instruction->A) + (8 * piece)) * Widen((int*)(registers + instruction->B) + (8 * piece));
            Lanes.Put(warp, registers + instruction->D, piece, value);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WideAddUnsigned32(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 4; piece++)
        {
            Vector512<ulong> value = Widen((uint*)(registers + instruction->A) + (8 * piece)) * Widen((uint*)(registers + instruction->B) + (8 * piece));
            Lanes.Put(warp, registers + instruction->D, piece, value + Lanes.Load<ulong>(registers + instruction->C, piece));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void WideAddSigned32(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < 4; piece++)
        {
            Vector512<long> value = Widen((int*)(registers + instruction->A) + (8 * piece)) * Widen((int*)(registers + instruction->B) + (8 * piece));
            Lanes.Put(warp, registers + instruction->D, piece, value + Lanes.Load<long>(registers + instruction->C, piece));
        }
    }

    /// <summary>shf: a 64-bit funnel b:a; Immediate bit 0: to the right, bit 1: the count wraps instead of stopping at 32.</summary>
    public static void Funnel(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        uint* a = (uint*)(registers + instruction->A);
        uint* b = (uint*)(registers + instruction->B);
        uint* c = (uint*)(registers + instruction->C);
        uint* d = (uint*)(registers + instruction->D);
        bool right = (instruction->Immediate & 1) != 0;
        bool wrap = (instruction->Immediate & 2) != 0;
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            int count = wrap ? (int)(c[lane] & 31) : (int)Math.Min(c[lane], 32);
            ulong both = ((ulong)b[lane] << 32) | a[lane];
            d[lane] = right ? (uint)(both >> count) : (uint)((both << count) >> 32);
        }
    }

    /// <summary>bfi.b32 d, a, b, position, length: position in C, length in D2.</summary>
    public static void Insert32(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        uint* a = (uint*)(registers + instruction->A);
        uint* b = (uint*)(registers + instruction->B);
        uint* at = (uint*)(registers + instruction->C);
        uint* length = (uint*)(registers + instruction->D2);
        uint* d = (uint*)(registers + instruction->D);
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            int place = (int)(at[lane] & 0xFF);
            int count = (int)(length[lane] & 0xFF);
            ulong mask = place > 31 ? 0 : ((count > 31 ? uint.MaxValue : (1ul << count) - 1) << place) & uint.MaxValue;
            d[lane] = (uint)((b[lane] & ~mask) | (place > 31 ? 0 : ((ulong)a[lane] << place) & mask));
        }
    }

    /// <summary>prmt.b32: Immediate 0 is the plain mode; else f4e, b4e, rc8, ecl, ecr, rc16 as 1 to 6.</summary>
    public static void Permute(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        uint* a = (uint*)(registers + instruction->A);
        uint* b = (uint*)(registers + instruction->B);
        uint* c = (uint*)(registers + instruction->C);
        uint* d = (uint*)(registers + instruction->D);
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong bytes = ((ulong)b[lane] << 32) | a[lane];
            uint result = 0;
            for (int i = 0; i < 4; i++)
            {
                uint selector = Selector((int)instruction->Immediate, c[lane], i);
                uint value = (uint)(bytes >> (8 * (int)(selector & 7))) & 0xFF;
                if ((selector & 8) != 0)
                    value = (value & 0x80) != 0 ? 0xFFu : 0;
                result |= value << (8 * i);
            }

            d[lane] = result;
        }
    }

    /// <summary>mov of parts into a register: Elements parts of Immediate bits, low first.</summary>
    public static void Pack(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        int bits = (int)instruction->Immediate;
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong value = 0;
            for (int i = 0; i < instruction->Elements; i++)
                value |= (ulong)((uint*)(registers + warp.Kernel.Vectors[instruction->Vector + i]))[lane] << (bits * i);
            if (instruction->WideAddress)
                ((ulong*)(registers + instruction->D))[lane] = value;
            else
                ((uint*)(registers + instruction->D))[lane] = (uint)value;
        }
    }

    public static void Unpack(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        int bits = (int)instruction->Immediate;
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong value = instruction->WideAddress ? ((ulong*)(registers + instruction->A))[lane] : ((uint*)(registers + instruction->A))[lane];
            for (int i = 0; i < instruction->Elements; i++)
                ((uint*)(registers + warp.Kernel.Vectors[instruction->Vector + i]))[lane] = (uint)(value >> (bits * i)) & (bits == 32 ? uint.MaxValue : 0xFFFFu);
        }
    }

    private static uint Selector(int mode, uint control, int i)
    {
        int low = (int)(control & 3);
        return (uint)(mode switch
        {
            1 => (low + i) & 7,
            2 => (low - i) & 7,
            3 => low,
            4 => Math.Max(low, i),
            5 => Math.Min(low, i),
            6 => (2 * (low & 1)) + (i & 1),
            _ => (int)(control >> (4 * i)) & 0xF,
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Widen(uint* eight)
    {
        (Vector256<ulong> low, Vector256<ulong> high) = Vector256.Widen(Vector256.Load(eight));
        return Vector512.Create(low, high);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<long> Widen(int* eight)
    {
        (Vector256<long> low, Vector256<long> high) = Vector256.Widen(Vector256.Load(eight));
        return Vector512.Create(low, high);
    }
}
