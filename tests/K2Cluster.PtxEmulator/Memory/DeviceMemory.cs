using System.Runtime.InteropServices;

namespace K2Cluster.PtxEmulator.Memory;

/// <summary>
/// The memory of one device. Addresses are made up, are not used again after a free, and every allocation lies among
/// addresses that hold nothing, so that a stray access never hits another allocation by chance. Thread-safe; what a kernel
/// and a host copy do to the same bytes at once is the caller's to order, as on a device.
/// </summary>
public sealed unsafe class DeviceMemory : IDisposable
{
    /// <summary>As cuMemAlloc aligns.</summary>
    public const int Alignment = 256;

    private const int PageBits = 20;
    /// <summary>What each device has of the addresses: 64 GiB.</summary>
    private const int SpaceBits = 36;
    private const byte FirstStamp = 2;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<ulong, DeviceAllocation> _live = [];
    private readonly List<DeviceAllocation> _released = [];
    private readonly long _capacity;
    private readonly ulong _base;
    private DeviceAllocation?[] _pages = new DeviceAllocation?[1024];
    private int _nextPage = 1;
    private byte _stamp = FirstStamp - 1;

    /// <param name="capacity">Bytes; more is out of memory.</param>
    /// <param name="device">Devices of different numbers, up to 1,983, have no address in common.</param>
    public DeviceMemory(long capacity = long.MaxValue, int device = 0)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)device, 1983u);
        _capacity = capacity;
        _base = (ulong)(device + 1) << SpaceBits;
    }

    public long AllocatedBytes { get; private set; }

    public long Capacity => _capacity;

    /// <summary>What is allocated and was not freed, in words.</summary>
    public IReadOnlyList<string> Live
    {
        get
        {
            lock (_lock)
                return [.. _live.Values.Select(allocation => allocation.ToString())];
        }
    }

    /// <summary>The stamp of the launch that runs now; 0 while none does.</summary>
    internal byte Running { get; private set; }

    /// <param name="bytes">At least 1.</param>
    /// <param name="name">For messages.</param>
    /// <returns>A device address, aligned to <see cref="Alignment"/>.</returns>
    /// <exception cref="DeviceMemoryException">Out of memory.</exception>
    public ulong Allocate(long bytes, string? name = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, 1);
        lock (_lock)
        {
            if (bytes > _capacity - AllocatedBytes)
                throw new DeviceMemoryException(DeviceMemoryError.OutOfMemory, $"{bytes} bytes asked for, {_capacity - AllocatedBytes} of {_capacity} free.");
            int pages = (int)((bytes + (1 << PageBits) - 1) >> PageBits);
            if (_nextPage + (long)pages >= 1L << (SpaceBits - PageBits))
                throw new DeviceMemoryException(DeviceMemoryError.OutOfMemory, $"{bytes} bytes asked for, and no addresses are left.");
            int first = _nextPage;
            // A page between allocations stays empty.
            _nextPage += pages + 1;
            if (_nextPage > _pages.Length)
            {
                DeviceAllocation?[] grown = new DeviceAllocation?[Math.Max(_nextPage, 2 * _pages.Length)];
                _pages.CopyTo(grown, 0);
                Volatile.Write(ref _pages, grown);
            }

            DeviceAllocation allocation = new(_base + ((ulong)first << PageBits), bytes, name ?? $"allocation {first}");
            _pages.AsSpan(first, pages).Fill(allocation);
            _live.Add(allocation.Address, allocation);
            AllocatedBytes += bytes;
            return allocation.Address;
        }
    }

    /// <exception cref="DeviceMemoryException">Not the start of an allocation, or freed before.</exception>
    public void Free(ulong address)
    {
        lock (_lock)
        {
            DeviceAllocation? allocation = Find(address);
            if (allocation is null || allocation.Address != address)
                throw new DeviceMemoryException(DeviceMemoryError.OutOfBounds, $"0x{address:x} is not the start of an allocation.");
            if (allocation.Freed)
                throw new DeviceMemoryException(DeviceMemoryError.DoubleFree, $"{allocation} is freed again.");
            _live.Remove(address);
            AllocatedBytes -= allocation.Bytes;
            allocation.Free();
            // A running kernel may hold its pointers: it meets the mark, and the bytes stay until it ends.
            if (Running != 0)
                _released.Add(allocation);
            else
                allocation.Release();
        }
    }

    /// <summary>Host to device.</summary>
    /// <exception cref="DeviceMemoryException">Out of bounds, freed, or read by the running kernel as read-only data.</exception>
    public void Write(ulong address, ReadOnlySpan<byte> source)
    {
        if (source.IsEmpty)
            return;
        lock (_lock)
        {
            DeviceAllocation allocation = Range(address, source.Length, "write");
            long at = (long)(address - allocation.Address);
            CheckReadOnly(allocation, at, source.Length);
            source.CopyTo(new Span<byte>(allocation.Data + at, source.Length));
            new Span<byte>(allocation.State + at, source.Length).Fill(DeviceAllocation.OldWrite);
        }
    }

    public void Write<T>(ulong address, ReadOnlySpan<T> source)
        where T : unmanaged => Write(address, MemoryMarshal.AsBytes(source));

    /// <summary>Sets every byte.</summary>
    public void Fill(ulong address, byte value, int bytes)
    {
        if (bytes == 0)
            return;
        lock (_lock)
        {
            DeviceAllocation allocation = Range(address, bytes, "fill");
            long at = (long)(address - allocation.Address);
            CheckReadOnly(allocation, at, bytes);
            new Span<byte>(allocation.Data + at, bytes).Fill(value);
            new Span<byte>(allocation.State + at, bytes).Fill(DeviceAllocation.OldWrite);
        }
    }

    /// <summary>Device to host. Bytes that nothing wrote come as 0xFF (in floating point a NaN), so that they cannot pass for results.</summary>
    public void Read(ulong address, Span<byte> destination)
    {
        if (destination.IsEmpty)
            return;
        lock (_lock)
        {
            DeviceAllocation allocation = Range(address, destination.Length, "read");
            long at = (long)(address - allocation.Address);
            new Span<byte>(allocation.Data + at, destination.Length).CopyTo(destination);
            Span<byte> state = new(allocation.State + at, destination.Length);
            if (!state.Contains((byte)0))
                return;
            for (int i = 0; i < state.Length; i++)
            {
                if (state[i] == 0)
                    destination[i] = 0xFF;
            }
        }
    }

    /// <summary>Device to host, as an array.</summary>
    public T[] Read<T>(ulong address, int count)
        where T : unmanaged
    {
        T[] values = new T[count];
        Read(address, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    /// <summary>Device to device: what was not written stays so.</summary>
    public void Copy(ulong destination, ulong source, int bytes)
    {
        if (bytes == 0)
            return;
        lock (_lock)
        {
            DeviceAllocation from = Range(source, bytes, "read");
            DeviceAllocation to = Range(destination, bytes, "write");
            long fromAt = (long)(source - from.Address);
            long toAt = (long)(destination - to.Address);
            CheckReadOnly(to, toAt, bytes);
            new Span<byte>(from.Data + fromAt, bytes).CopyTo(new Span<byte>(to.Data + toAt, bytes));
            Span<byte> state = new(to.State + toAt, bytes);
            new Span<byte>(from.State + fromAt, bytes).CopyTo(state);
            foreach (ref byte value in state)
                value = value == 0 ? (byte)0 : DeviceAllocation.OldWrite;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (DeviceAllocation allocation in _live.Values)
            {
                allocation.Free();
                allocation.Release();
            }

            _live.Clear();
            AllocatedBytes = 0;
        }
    }

    /// <summary>Whether an address is one that this device gives.</summary>
    internal bool IsOwn(ulong address) => address >> SpaceBits == _base >> SpaceBits;

    /// <summary>The allocation whose pages hold the address, freed or not; the caller checks the bounds. Called while kernels run.</summary>
    internal DeviceAllocation? Find(ulong address)
    {
        DeviceAllocation?[] pages = Volatile.Read(ref _pages);
        ulong page = (address - _base) >> PageBits;
        return page < (ulong)pages.Length ? pages[page] : null;
    }

    /// <summary>The live allocation nearest below the address, in words, for messages.</summary>
    internal string Nearest(ulong address)
    {
        lock (_lock)
        {
            DeviceAllocation? below = _live.Values.LastOrDefault(allocation => allocation.Address <= address);
            return below is null ? "no allocation lies below it" : $"{address - below.Address} bytes into {below}";
        }
    }

    /// <summary>Begins a launch and gives its stamp. One launch at a time.</summary>
    internal byte BeginLaunch()
    {
        lock (_lock)
        {
            if (Running != 0)
                throw new InvalidOperationException("A launch is running on this memory.");
            if (_stamp == byte.MaxValue)
            {
                foreach (DeviceAllocation allocation in _live.Values)
                    allocation.ForgetStamps();
                _stamp = FirstStamp - 1;
            }

            return Running = ++_stamp;
        }
    }

    internal void EndLaunch()
    {
        lock (_lock)
        {
            Running = 0;
            foreach (DeviceAllocation allocation in _released)
                allocation.Release();
            _released.Clear();
        }
    }

    private DeviceAllocation Range(ulong address, long bytes, string what)
    {
        DeviceAllocation allocation = Find(address)
            ?? throw new DeviceMemoryException(DeviceMemoryError.OutOfBounds, $"{what} of {bytes} bytes at 0x{address:x}: {Nearest(address)}.");
        if (allocation.Freed)
            throw new DeviceMemoryException(DeviceMemoryError.UseAfterFree, $"{what} of {bytes} bytes at 0x{address:x} in {allocation}.");
        long at = (long)(address - allocation.Address);
        if (at + bytes > allocation.Bytes)
            throw new DeviceMemoryException(DeviceMemoryError.OutOfBounds, $"{what} of {bytes} bytes at {at} of {allocation}.");
        return allocation;
    }

    private void CheckReadOnly(DeviceAllocation allocation, long at, int bytes)
    {
        if (Running != 0 && allocation.ReadOnly != null && new Span<byte>(allocation.ReadOnly + at, bytes).Contains(Running))
            throw new DeviceMemoryException(DeviceMemoryError.ReadOnlyWhileRunning, $"write of {bytes} bytes at {at} of {allocation}, which the running kernel reads through ld.global.nc.");
    }
}
