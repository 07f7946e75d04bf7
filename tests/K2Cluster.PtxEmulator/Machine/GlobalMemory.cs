using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using K2Cluster.PtxEmulator.Memory;

namespace K2Cluster.PtxEmulator.Machine;

/// <summary>A kernel's accesses to device memory, each checked: an allocation, its bounds, alignment, written before read.</summary>
internal static unsafe class GlobalMemory
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Read(Warp warp, Instruction* instruction, int lane, ulong address, int bytes, bool readOnly)
    {
        DeviceAllocation allocation = Find(warp, instruction, lane, address, bytes);
        long at = (long)(address - allocation.Address);
        byte* state = allocation.State + at;
        if (!AllWritten(state, bytes))
            throw Unwritten(warp, instruction, lane, address, allocation, state, bytes);
        if (readOnly)
            MarkReadOnly(warp, instruction, lane, address, allocation, at, bytes);
        return allocation.Data + at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Write(Warp warp, Instruction* instruction, int lane, ulong address, int bytes)
    {
        DeviceAllocation allocation = Find(warp, instruction, lane, address, bytes);
        long at = (long)(address - allocation.Address);
        byte stamp = warp.Block.Stamp;
        if (allocation.ReadOnly != null && new Span<byte>(allocation.ReadOnly + at, bytes).Contains(stamp))
            throw warp.Fault(PtxFaultKind.ReadOnlyWrite, $"write at {at} of {allocation}, which this launch reads through ld.global.nc", instruction, lane, address);
        Unsafe.InitBlockUnaligned(allocation.State + at, stamp, (uint)bytes);
        return allocation.Data + at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static DeviceAllocation Find(Warp warp, Instruction* instruction, int lane, ulong address, int bytes)
    {
        DeviceAllocation? allocation = warp.LastAllocation;
        if (allocation == null || address - allocation.Address >= (ulong)allocation.Bytes)
            allocation = warp.Block.Memory.Find(address);
        if (allocation == null || address - allocation.Address + (ulong)bytes > (ulong)allocation.Bytes || allocation.Freed || (address & (ulong)(bytes - 1)) != 0)
            throw BadAddress(warp, instruction, lane, address, bytes, allocation);
        warp.LastAllocation = allocation;
        return allocation;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool AllWritten(byte* state, int bytes) => bytes switch
    {
        16 => !Vector128.EqualsAny(Vector128.Load(state), Vector128<byte>.Zero),
        8 => !Vector128.EqualsAny(Vector128.CreateScalarUnsafe(*(ulong*)state).AsByte() | Vector128.Create(0ul, ulong.MaxValue).AsByte(), Vector128<byte>.Zero),
        4 => state[0] != 0 && state[1] != 0 && state[2] != 0 && state[3] != 0,
        2 => state[0] != 0 && state[1] != 0,
        1 => *state != 0,
        _ => !new Span<byte>(state, bytes).Contains((byte)0),
    };

    private static void MarkReadOnly(Warp warp, Instruction* instruction, int lane, ulong address, DeviceAllocation allocation, long at, int bytes)
    {
        byte stamp = warp.Block.Stamp;
        if (new Span<byte>(allocation.State + at, bytes).Contains(stamp))
            throw warp.Fault(PtxFaultKind.ReadOnlyWrite, $"ld.global.nc at {at} of {allocation}, which this launch writes", instruction, lane, address);
        byte* map = allocation.ReadOnly;
        if (map == null)
            map = allocation.ReadOnlyMap();
        Unsafe.InitBlockUnaligned(map + at, stamp, (uint)bytes);
    }

    private static PtxFaultException Unwritten(Warp warp, Instruction* instruction, int lane, ulong address, DeviceAllocation allocation, byte* state, int bytes)
    {
        int first = new Span<byte>(state, bytes).IndexOf((byte)0);
        return warp.Fault(
            PtxFaultKind.Uninitialised,
            $"read of {bytes} bytes at {(long)(address - allocation.Address)} of {allocation}: nothing wrote byte {(long)(address - allocation.Address) + first}",
            instruction, lane, address);
    }

    private static PtxFaultException BadAddress(Warp warp, Instruction* instruction, int lane, ulong address, int bytes, DeviceAllocation? allocation)
    {
        if (allocation is { Freed: true })
            return warp.Fault(PtxFaultKind.UseAfterFree, $"{bytes} bytes at 0x{address:x} in {allocation}", instruction, lane, address);
        if ((address & (ulong)(bytes - 1)) != 0)
            return warp.Fault(PtxFaultKind.Misaligned, $"{bytes} bytes at 0x{address:x}", instruction, lane, address);
        return warp.Fault(PtxFaultKind.OutOfBounds, $"{bytes} bytes at 0x{address:x}: {warp.Block.Memory.Nearest(address)}", instruction, lane, address);
    }
}
