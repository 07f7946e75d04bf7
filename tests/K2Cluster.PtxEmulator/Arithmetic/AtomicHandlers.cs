using System.Numerics;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Arithmetic;

internal enum AtomicOperation
{
    Add,
    Minimum,
    Maximum,
    And,
    Or,
    Xor,
    Exchange,
    CompareExchange,
    Increment,
    Decrement,
}

/// <summary>
/// atom and red, one lane after the other from lane 0. Blocks of a kernel with atomic operations on device memory run one after
/// another, so that their order is always the same. Operation in Elements, type in Vector, operands B and C, the old value to D (-1: red).
/// </summary>
internal static unsafe class AtomicHandlers
{
    public static void Global(Warp warp, Instruction* instruction)
    {
        int bytes = ((PtxType)instruction->Vector).Bytes();
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong address = MemoryHandlers.Address(warp.Registers, instruction, lane);
            GlobalMemory.Read(warp, instruction, lane, address, bytes, readOnly: false);
            Apply(warp, instruction, lane, GlobalMemory.Write(warp, instruction, lane, address, bytes), bytes);
        }
    }

    public static void Shared(Warp warp, Instruction* instruction)
    {
        int bytes = ((PtxType)instruction->Vector).Bytes();
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong address = MemoryHandlers.Address(warp.Registers, instruction, lane);
            Apply(warp, instruction, lane, warp.Block.Shared.ReadWrite(warp, instruction, lane, address, bytes), bytes);
        }
    }

    public static void Generic(Warp warp, Instruction* instruction)
    {
        int bytes = ((PtxType)instruction->Vector).Bytes();
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong address = MemoryHandlers.Address(warp.Registers, instruction, lane);
            byte* target;
            if (address >> 32 == SharedMemory.Window >> 32)
            {
                target = warp.Block.Shared.ReadWrite(warp, instruction, lane, address - SharedMemory.Window, bytes);
            }
            else
            {
                GlobalMemory.Read(warp, instruction, lane, address, bytes, readOnly: false);
                target = GlobalMemory.Write(warp, instruction, lane, address, bytes);
            }

            Apply(warp, instruction, lane, target, bytes);
        }
    }

    private static void Apply(Warp warp, Instruction* instruction, int lane, byte* target, int bytes)
    {
        ulong old = bytes == 8 ? *(ulong*)target : *(uint*)target;
        ulong b = Operand(warp, instruction->B, lane, bytes);
        ulong value = (AtomicOperation)instruction->Elements == AtomicOperation.CompareExchange
            ? old == b ? Operand(warp, instruction->C, lane, bytes) : old
            : Result((AtomicOperation)instruction->Elements, (PtxType)instruction->Vector, old, b);
        if (bytes == 8)
            *(ulong*)target = value;
        else
            *(uint*)target = (uint)value;
        if (instruction->D < 0)
            return;
        if (bytes == 8)
            ((ulong*)(warp.Registers + instruction->D))[lane] = old;
        else
            ((uint*)(warp.Registers + instruction->D))[lane] = (uint)old;
    }

    private static ulong Operand(Warp warp, int offset, int lane, int bytes) =>
        bytes == 8 ? ((ulong*)(warp.Registers + offset))[lane] : ((uint*)(warp.Registers + offset))[lane];

    private static ulong Result(AtomicOperation operation, PtxType type, ulong old, ulong b) => operation switch
    {
        AtomicOperation.Add => type switch
        {
            PtxType.F32 => BitConverter.SingleToUInt32Bits(Real(old) + Real(b)),
            PtxType.F64 => BitConverter.DoubleToUInt64Bits(BitConverter.UInt64BitsToDouble(old) + BitConverter.UInt64BitsToDouble(b)),
            PtxType.BF16x2 => Halves<AddBf16>.Apply((uint)old, (uint)b),
            PtxType.F16x2 => Halves<AddHalf>.Apply((uint)old, (uint)b),
            _ => old + b,
        },
        AtomicOperation.Minimum => Below(type, old, b) ? old : b,
        AtomicOperation.Maximum => Below(type, old, b) ? b : old,
        AtomicOperation.And => old & b,
        AtomicOperation.Or => old | b,
        AtomicOperation.Xor => old ^ b,
        AtomicOperation.Increment => old >= b ? 0 : old + 1,
        AtomicOperation.Decrement => old == 0 || old > b ? b : old - 1,
        _ => b,
    };

    private static bool Below(PtxType type, ulong a, ulong b) => type switch
    {
        PtxType.S32 => (int)a < (int)b,
        PtxType.S64 => (long)a < (long)b,
        _ => a < b,
    };

    private static float Real(ulong bits) => BitConverter.UInt32BitsToSingle((uint)bits);
}
