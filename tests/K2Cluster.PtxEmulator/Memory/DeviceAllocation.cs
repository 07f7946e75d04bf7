using System.Runtime.InteropServices;

namespace K2Cluster.PtxEmulator.Memory;

/// <summary>
/// One allocation of device memory: its bytes, and for each byte what is known of it. A byte's state is 0 while nothing was
/// written there, <see cref="OldWrite"/> once something was, and the launch's own stamp when the launch now running wrote it.
/// </summary>
internal sealed unsafe class DeviceAllocation
{
    public const byte OldWrite = 1;

    private readonly Lock _mapLock = new();
    private byte* _readOnly;

    public DeviceAllocation(ulong address, long bytes, string name)
    {
        Address = address;
        Bytes = bytes;
        Name = name;
        Data = (byte*)NativeMemory.AllocZeroed((nuint)bytes);
        State = (byte*)NativeMemory.AllocZeroed((nuint)bytes);
    }

    public ulong Address { get; }

    public long Bytes { get; }

    public string Name { get; }

    public byte* Data { get; private set; }

    public byte* State { get; private set; }

    /// <summary>For each byte the stamp of the launch that last read it through .nc; null while none did.</summary>
    public byte* ReadOnly => _readOnly;

    public bool Freed { get; private set; }

    /// <summary>The map of .nc reads, made on first use; several threads may ask at once.</summary>
    public byte* ReadOnlyMap()
    {
        lock (_mapLock)
        {
            if (_readOnly == null)
                _readOnly = (byte*)NativeMemory.AllocZeroed((nuint)Bytes);
            return _readOnly;
        }
    }

    /// <summary>Makes all stamps old, before they come round again.</summary>
    public void ForgetStamps()
    {
        Span<byte> Map(long at, byte* map) => new(map + at, (int)Math.Min(1 << 30, Bytes - at));
        for (long at = 0; at < Bytes; at += 1 << 30)
        {
            foreach (ref byte state in Map(at, State))
                state = state == 0 ? (byte)0 : OldWrite;
            if (_readOnly != null)
                Map(at, _readOnly).Clear();
        }
    }

    /// <summary>From now on every access is a use after free; <see cref="Release"/> gives the memory back.</summary>
    public void Free() => Freed = true;

    public void Release()
    {
        NativeMemory.Free(Data);
        NativeMemory.Free(State);
        NativeMemory.Free(_readOnly);
        Data = State = _readOnly = null;
    }

    public override string ToString() => $"{Name} ({Bytes} bytes at 0x{Address:x}{(Freed ? ", freed" : "")})";
}
