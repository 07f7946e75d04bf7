using System.Numerics;
using System.Runtime.CompilerServices;
using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>Which memory an instruction reaches.</summary>
internal interface ISpace
{
    static abstract unsafe byte* Read(Warp warp, Instruction* instruction, int lane, ulong address, int bytes);

    static abstract unsafe byte* Write(Warp warp, Instruction* instruction, int lane, ulong address, int bytes, byte* value);
}

internal readonly unsafe struct GlobalSpace : ISpace
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Read(Warp warp, Instruction* instruction, int lane, ulong address, int bytes) =>
        GlobalMemory.Read(warp, instruction, lane, address, bytes, readOnly: false);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Write(Warp warp, Instruction* instruction, int lane, ulong address, int bytes, byte* value) =>
        GlobalMemory.Write(warp, instruction, lane, address, bytes);
}

/// <summary>ld.global.nc.</summary>
internal readonly unsafe struct ReadOnlySpace : ISpace
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Read(Warp warp, Instruction* instruction, int lane, ulong address, int bytes) =>
        GlobalMemory.Read(warp, instruction, lane, address, bytes, readOnly: true);

    public static byte* Write(Warp warp, Instruction* instruction, int lane, ulong address, int bytes, byte* value) => throw new NotSupportedException();
}

internal readonly unsafe struct SharedSpace : ISpace
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Read(Warp warp, Instruction* instruction, int lane, ulong address, int bytes) =>
        warp.Block.Shared.Read(warp, instruction, lane, address, bytes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Write(Warp warp, Instruction* instruction, int lane, ulong address, int bytes, byte* value) =>
        warp.Block.Shared.Write(warp, instruction, lane, address, bytes, value);
}

/// <summary>No space named: shared memory lies in a window of the addresses.</summary>
internal readonly unsafe struct GenericSpace : ISpace
{
    public static byte* Read(Warp warp, Instruction* instruction, int lane, ulong address, int bytes) => address >> 32 == SharedMemory.Window >> 32
        ? SharedSpace.Read(warp, instruction, lane, address - SharedMemory.Window, bytes)
        : GlobalSpace.Read(warp, instruction, lane, address, bytes);

    public static byte* Write(Warp warp, Instruction* instruction, int lane, ulong address, int bytes, byte* value) => address >> 32 == SharedMemory.Window >> 32
        ? SharedSpace.Write(warp, instruction, lane, address - SharedMemory.Window, bytes, value)
        : GlobalSpace.Write(warp, instruction, lane, address, bytes, value);
}

/// <summary>A parameter: the same for all threads, no check needed but at decoding.</summary>
internal readonly unsafe struct ParameterSpace : ISpace
{
    public static byte* Read(Warp warp, Instruction* instruction, int lane, ulong address, int bytes) => warp.Block.Parameters + address;

    public static byte* Write(Warp warp, Instruction* instruction, int lane, ulong address, int bytes, byte* value) => throw new NotSupportedException();
}

/// <summary>ld, st, atom, red, cp.async, ldmatrix.</summary>
internal static unsafe class MemoryHandlers
{
    /// <summary>Elements of T into registers whose lanes are TRegister, extended by T's sign.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Load<TSpace, T, TRegister>(Warp warp, Instruction* instruction)
        where TSpace : ISpace
        where T : unmanaged, IBinaryInteger<T>
        where TRegister : unmanaged, IBinaryInteger<TRegister>
    {
        byte* registers = warp.Registers;
        int elements = instruction->Elements;
        ReadOnlySpan<int> vector = warp.Kernel.Vectors.AsSpan(instruction->Vector, elements);
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            T* source = (T*)TSpace.Read(warp, instruction, lane, Address(registers, instruction, lane), sizeof(T) * elements);
            for (int i = 0; i < vector.Length; i++)
            {
                TRegister value = TRegister.CreateTruncating(source[i]);
                if (typeof(T) == typeof(sbyte) && instruction->Narrow)
                    value &= TRegister.CreateTruncating(0xFFFF);
                ((TRegister*)(registers + vector[i]))[lane] = value;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Store<TSpace, T, TRegister>(Warp warp, Instruction* instruction)
        where TSpace : ISpace
        where T : unmanaged, IBinaryInteger<T>
        where TRegister : unmanaged, IBinaryInteger<TRegister>
    {
        byte* registers = warp.Registers;
        int elements = instruction->Elements;
        ReadOnlySpan<int> vector = warp.Kernel.Vectors.AsSpan(instruction->Vector, elements);
        T* values = stackalloc T[4];
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            for (int i = 0; i < vector.Length; i++)
                values[i] = T.CreateTruncating(((TRegister*)(registers + vector[i]))[lane]);
            T* target = (T*)TSpace.Write(warp, instruction, lane, Address(registers, instruction, lane), sizeof(T) * elements, (byte*)values);
            for (int i = 0; i < vector.Length; i++)
                target[i] = values[i];
        }
    }

    /// <summary>cp.async: to shared D from global A, Elements bytes, of which the register B says how many are read (the rest is 0).</summary>
    public static void CopyAsync(Warp warp, Instruction* instruction)
    {
        byte* registers = warp.Registers;
        int bytes = instruction->Elements;
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            ulong target = instruction->WideAddress ? ((ulong*)(registers + instruction->D))[lane] : ((uint*)(registers + instruction->D))[lane];
            target += (ulong)(instruction->Immediate >> 32);
            ulong source = ((ulong*)(registers + instruction->A))[lane] + (ulong)(int)instruction->Immediate;
            uint wanted = instruction->B < 0 ? (uint)bytes : ((uint*)(registers + instruction->B))[lane];
            if (wanted > (uint)bytes)
                throw warp.Fault(PtxFaultKind.BadOperation, $"a source of {wanted} bytes for a copy of {bytes}", instruction, lane);
            if ((source & (ulong)(bytes - 1)) != 0)
                throw warp.Fault(PtxFaultKind.Misaligned, $"{bytes} bytes at 0x{source:x}", instruction, lane, source);
            UInt128 value = 0;
            if (wanted == (uint)bytes)
            {
                Buffer.MemoryCopy(GlobalMemory.Read(warp, instruction, lane, source, bytes, readOnly: false), &value, bytes, bytes);
            }
            else
            {
                // A source shorter than the copy is read no further.
                for (int i = 0; i < (int)wanted; i++)
                    ((byte*)&value)[i] = *GlobalMemory.Read(warp, instruction, lane, source + (ulong)i, 1, readOnly: false);
            }

            warp.Block.Shared.BeginAsync(warp, instruction, lane, target, bytes);
            warp.Copies.Begin(lane, target, bytes, value);
        }
    }

    public static void CommitAsync(Warp warp, Instruction* instruction) => warp.Copies.Commit(warp.Executing);

    public static void WaitAsync(Warp warp, Instruction* instruction) => warp.Copies.Wait(warp.Executing, (int)instruction->Immediate);

    /// <summary>ldmatrix: Elements matrices of 8 by 8 words of 16 bits, their rows at the addresses of lanes 0 to 7, 8 to 15 and so on; D2 set to 1 transposes.</summary>
    public static void LoadMatrix(Warp warp, Instruction* instruction)
    {
        warp.RequireConverged(instruction);
        byte* registers = warp.Registers;
        ushort* matrix = stackalloc ushort[64];
        for (int number = 0; number < instruction->Elements; number++)
        {
            for (int row = 0; row < 8; row++)
            {
                int lane = (8 * number) + row;
                ushort* source = (ushort*)warp.Block.Shared.Read(warp, instruction, lane, Address(registers, instruction, lane), 16);
                for (int column = 0; column < 8; column++)
                    matrix[(8 * row) + column] = source[column];
            }

            uint* target = (uint*)(registers + warp.Kernel.Vectors[instruction->Vector + number]);
            for (int lane = 0; lane < 32; lane++)
            {
                int row = lane >> 2;
                int column = 2 * (lane & 3);
                target[lane] = instruction->D2 == 1
                    ? matrix[(8 * column) + row] | ((uint)matrix[(8 * (column + 1)) + row] << 16)
                    : matrix[(8 * row) + column] | ((uint)matrix[(8 * row) + column + 1] << 16);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Address(byte* registers, Instruction* instruction, int lane)
    {
        ulong address = instruction->WideAddress ? ((ulong*)(registers + instruction->A))[lane] : ((uint*)(registers + instruction->A))[lane];
        return address + (ulong)instruction->Immediate;
    }
}
