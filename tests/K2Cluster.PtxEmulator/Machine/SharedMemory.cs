using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace K2Cluster.PtxEmulator.Machine;

/// <summary>
/// A block's shared memory with, for each granule (the shortest access of the kernel), the last write and the reads since.
/// Two accesses by different warps, one of them a write, must be ordered by barriers that both warps passed, directly or
/// through others: each warp knows for every other the latest barrier event after which it has seen that warp's work
/// (<see cref="Warp.Seen"/>), and an access of event e is ordered when that is later than e. Lanes of one warp are ordered by
/// a bar.warp.sync or a barrier between them.
/// </summary>
internal sealed unsafe class SharedMemory : IDisposable
{
    /// <summary>Where shared addresses begin. Not 0, so that an offset which lacks its base is out of bounds.</summary>
    public const uint Base = 1024;

    /// <summary>Where the shared window lies among generic addresses.</summary>
    public const ulong Window = 0x7e0000000000;

    /// <summary>In a write's cell: by a cp.async that nobody has waited for; by an atomic operation.</summary>
    private const ulong Pending = 1ul << 63;
    private const ulong Atomic = 1ul << 62;

    /// <summary>In a reads' cell: readers of several events, listed in <see cref="_mixed"/>.</summary>
    private const ulong Mixed = 1ul << 63;

    private readonly Dictionary<int, ulong[]> _mixed = [];
    private int _capacity;
    private int _shift;
    private bool _check;

    /// <summary>For each granule: flags, event (30 bits from 32), warp sync (22 bits from 10), thread. 0: never written.</summary>
    private ulong* _writes;

    /// <summary>For each granule: event from bit 32, a bit for every warp that read since the last write.</summary>
    private ulong* _reads;

    /// <summary>For each granule: warp sync and thread of the last read.</summary>
    private uint* _lastReads;

    public byte* Data { get; private set; }

    public int Bytes { get; private set; }

    /// <summary>Makes it empty for a new block.</summary>
    public void Reset(int bytes, int granule, bool check)
    {
        _shift = BitOperations.Log2((uint)granule);
        _check = check;
        Bytes = bytes;
        if (bytes > _capacity)
        {
            Dispose();
            _capacity = bytes;
            Data = (byte*)NativeMemory.AlignedAlloc((nuint)bytes + 16, 128);
            _writes = (ulong*)NativeMemory.Alloc((nuint)bytes, sizeof(ulong));
            _reads = (ulong*)NativeMemory.Alloc((nuint)bytes, sizeof(ulong));
            _lastReads = (uint*)NativeMemory.Alloc((nuint)bytes, sizeof(uint));
        }

        if (!check || bytes == 0)
            return;
        int cells = (bytes + granule - 1) >> _shift;
        new Span<ulong>(_writes, cells).Clear();
        new Span<ulong>(_reads, cells).Clear();
        _mixed.Clear();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte* Read(Warp warp, Instruction* instruction, int lane, ulong address, int bytes)
    {
        ulong at = address - Base;
        if (at >= (ulong)Bytes || at + (ulong)bytes > (ulong)Bytes || (address & (ulong)(bytes - 1)) != 0)
            throw BadAddress(warp, instruction, lane, address, bytes);
        if (_check)
        {
            ulong limit = warp.SeenByAll;
            ulong own = warp.Event;
            ulong bit = 1ul << warp.Number;
            uint stamp = warp.SyncStamp | (uint)lane;
            int last = (int)(at + (ulong)bytes - 1) >> _shift;
            for (int cell = (int)at >> _shift; cell <= last; cell++)
            {
                if (_writes[cell] - 1 >= limit - 1)
                    CheckRead(warp, instruction, lane, cell);
                ulong reads = _reads[cell];
                if (reads < limit)
                    _reads[cell] = own | bit;
                else if ((reads ^ own) >> 32 == 0)
                    _reads[cell] = reads | bit;
                else
                    AddMixedReader(warp, cell, reads);
                _lastReads[cell] = stamp;
            }
        }

        return Data + at;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public byte* Write(Warp warp, Instruction* instruction, int lane, ulong address, int bytes, byte* value)
    {
        ulong at = address - Base;
        if (at >= (ulong)Bytes || at + (ulong)bytes > (ulong)Bytes || (address & (ulong)(bytes - 1)) != 0)
            throw BadAddress(warp, instruction, lane, address, bytes);
        if (_check)
            MarkWrite(warp, instruction, lane, (int)at, bytes, value, flags: 0);
        return Data + at;
    }

    /// <summary>For a read-modify-write. Atomic operations of several warps on one place need no barrier between them.</summary>
    public byte* ReadWrite(Warp warp, Instruction* instruction, int lane, ulong address, int bytes)
    {
        ulong at = address - Base;
        if (at >= (ulong)Bytes || at + (ulong)bytes > (ulong)Bytes || (address & (ulong)(bytes - 1)) != 0)
            throw BadAddress(warp, instruction, lane, address, bytes);
        if (_check)
        {
            int last = ((int)at + bytes - 1) >> _shift;
            for (int cell = (int)at >> _shift; cell <= last; cell++)
            {
                if ((_writes[cell] & Atomic) == 0 && _writes[cell] - 1 >= warp.SeenByAll - 1)
                    CheckRead(warp, instruction, lane, cell);
            }

            MarkWrite(warp, instruction, lane, (int)at, bytes, null, Atomic);
        }

        return Data + at;
    }

    /// <summary>A cp.async has begun: until it is waited for, nobody may read or write there.</summary>
    public void BeginAsync(Warp warp, Instruction* instruction, int lane, ulong address, int bytes)
    {
        ulong at = address - Base;
        if (at >= (ulong)Bytes || at + (ulong)bytes > (ulong)Bytes || (address & (ulong)(bytes - 1)) != 0)
            throw BadAddress(warp, instruction, lane, address, bytes);
        if (_check)
            MarkWrite(warp, instruction, lane, (int)at, bytes, null, Pending);
    }

    /// <summary>The thread waited: from now on the bytes are its own write.</summary>
    public void EndAsync(Warp warp, int lane, ulong address, int bytes, byte* value)
    {
        int at = (int)(address - Base);
        Buffer.MemoryCopy(value, Data + at, bytes, bytes);
        if (!_check)
            return;
        int last = (at + bytes - 1) >> _shift;
        for (int cell = at >> _shift; cell <= last; cell++)
            _writes[cell] = warp.Event | warp.SyncStamp | (uint)lane;
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(Data);
        NativeMemory.Free(_writes);
        NativeMemory.Free(_reads);
        NativeMemory.Free(_lastReads);
        Data = null;
        _writes = _reads = null;
        _lastReads = null;
        _capacity = 0;
    }

    private void MarkWrite(Warp warp, Instruction* instruction, int lane, int at, int bytes, byte* value, ulong flags)
    {
        ulong limit = warp.SeenByAll;
        ulong stamp = flags | warp.Event | warp.SyncStamp | (uint)lane;
        int last = (at + bytes - 1) >> _shift;
        for (int cell = at >> _shift; cell <= last; cell++)
        {
            ulong write = _writes[cell];
            if (write >= limit && (write & flags & Atomic) == 0)
                CheckWriteAfterWrite(warp, instruction, lane, cell, at, bytes, value);
            if (_reads[cell] >= limit)
                CheckWriteAfterRead(warp, instruction, lane, cell);
            _writes[cell] = stamp;
            _reads[cell] = 0;
        }
    }

    /// <summary>A read whose cell was not written, or was by a write that the quick test does not find ordered.</summary>
    private void CheckRead(Warp warp, Instruction* instruction, int lane, int cell)
    {
        ulong write = _writes[cell];
        ulong address = Base + ((ulong)cell << _shift);
        if (write == 0)
            throw warp.Fault(PtxFaultKind.Uninitialised, $"read of shared memory at {address - Base}, which nothing wrote", instruction, lane, address);
        if ((write & Pending) != 0)
            throw warp.Fault(PtxFaultKind.AsyncCopyPending, $"read of shared memory at {address - Base}, to which {Who(write)} began a cp.async that it has not waited for", instruction, lane, address);
        if (!OrderedBefore(write, warp, lane))
            throw warp.Fault(PtxFaultKind.SharedRace, $"read of shared memory at {address - Base}, which {Who(write)} wrote with no {Missing(write, warp)} since", instruction, lane, address);
    }

    private void CheckWriteAfterWrite(Warp warp, Instruction* instruction, int lane, int cell, int at, int bytes, byte* value)
    {
        ulong write = _writes[cell];
        ulong address = Base + ((ulong)cell << _shift);
        if ((write & Pending) != 0)
            throw warp.Fault(PtxFaultKind.AsyncCopyPending, $"write of shared memory at {address - Base}, to which {Who(write)} began a cp.async that it has not waited for", instruction, lane, address);
        if (OrderedBefore(write, warp, lane))
            return;
        // Lanes of one warp that store the same value leave no doubt.
        if (WarpOf(write) == warp.Number && value != null && new Span<byte>(Data + at, bytes).SequenceEqual(new Span<byte>(value, bytes)))
            return;
        throw warp.Fault(PtxFaultKind.SharedRace, $"write of shared memory at {address - Base}, which {Who(write)} wrote with no {Missing(write, warp)} since", instruction, lane, address);
    }

    private void CheckWriteAfterRead(Warp warp, Instruction* instruction, int lane, int cell)
    {
        ulong reads = _reads[cell];
        ulong address = Base + ((ulong)cell << _shift);
        int reader = -1;
        if ((reads & Mixed) != 0)
        {
            ulong[] readers = _mixed[cell];
            for (int other = 0; other < readers.Length; other++)
            {
                if (other != warp.Number && readers[other] != 0 && warp.Seen[other] <= readers[other])
                    reader = other;
            }

            _mixed.Remove(cell);
        }
        else
        {
            for (uint others = (uint)reads & ~(1u << warp.Number); others != 0; others &= others - 1)
            {
                int other = BitOperations.TrailingZeroCount(others);
                if (warp.Seen[other] <= reads >> 32)
                    reader = other;
            }

            uint last = _lastReads[cell];
            if (reader < 0 && reads >> 32 == warp.Event >> 32 && (last & ~31u) == warp.SyncStamp && (last & 31) != lane)
                throw warp.Fault(PtxFaultKind.SharedRace, $"write of shared memory at {address - Base}, which lane {last & 31} of the same warp read with no bar.warp.sync since", instruction, lane, address);
        }

        if (reader >= 0)
            throw warp.Fault(PtxFaultKind.SharedRace, $"write of shared memory at {address - Base}, which warp {reader} read with no barrier between them since", instruction, lane, address);
    }

    private void AddMixedReader(Warp warp, int cell, ulong reads)
    {
        if ((reads & Mixed) == 0)
        {
            ulong[] first = new ulong[Warp.MaxPerBlock];
            for (uint mask = (uint)reads; mask != 0; mask &= mask - 1)
                first[BitOperations.TrailingZeroCount(mask)] = reads >> 32;
            _mixed[cell] = first;
            _reads[cell] = Mixed;
        }

        _mixed[cell][warp.Number] = warp.Event >> 32;
    }

    private static bool OrderedBefore(ulong write, Warp warp, int lane)
    {
        int writer = WarpOf(write);
        ulong at = (write & ~(Pending | Atomic)) >> 32;
        if (writer != warp.Number)
            return warp.Seen[writer] > at;
        return (write & 31) == (uint)lane || at != warp.Event >> 32 || ((uint)write & ~1023u) != (warp.SyncStamp & ~1023u);
    }

    private static int WarpOf(ulong write) => (int)(write >> 5) & 31;

    private static string Who(ulong write) => $"warp {WarpOf(write)} lane {write & 31}";

    private static string Missing(ulong write, Warp warp) => WarpOf(write) == warp.Number ? "bar.warp.sync" : "barrier between them";

    private PtxFaultException BadAddress(Warp warp, Instruction* instruction, int lane, ulong address, int bytes)
    {
        bool misaligned = (address & (ulong)(bytes - 1)) != 0;
        return warp.Fault(
            misaligned ? PtxFaultKind.Misaligned : PtxFaultKind.OutOfBounds,
            $"shared memory, {bytes} bytes at {(long)(address - Base)} of {Bytes}",
            instruction, lane, address);
    }
}
