using System.Runtime.InteropServices;
using ManagedCuda;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>
/// A driver and its GPUs, made up: libcuda's functions over the emulator. One at a time in a process. What a program did that
/// it must not do (a fault in a kernel, a double free, a launch that cannot be) is in <see cref="Faults"/>; what it did not
/// give back, in <see cref="Leaks"/>. Errors that a test put in are in neither.
/// </summary>
public sealed class FakeMachine : IDisposable
{
    /// <summary>Pinned memory of machines that were taken away, which a finalizer may still give back.</summary>
    private static readonly HashSet<nint> Abandoned = [];

    private static int _generations;

    private readonly Lock _lock = new();
    private readonly Dictionary<nint, object> _handles = [];
    private readonly SortedDictionary<nint, PinnedMemory> _pinned = [];
    private readonly List<string> _faults = [];
    private readonly bool _quiet;
    private nint _nextHandle;

    private FakeMachine(IEnumerable<FakeGpu> gpus, bool quiet)
    {
        _quiet = quiet;
        Generation = ++_generations;
        _nextHandle = ((nint)Generation << 32) + 0x1000;
        Devices = [.. gpus.Select((gpu, ordinal) => new FakeDevice(this, ordinal, gpu))];
    }

    /// <summary>The one that is installed.</summary>
    public static FakeMachine? Current { get; private set; }

    public IReadOnlyList<FakeDevice> Devices { get; }

    /// <summary>Pinned memory that is held, bytes.</summary>
    public long PinnedBytes
    {
        get
        {
            lock (_lock)
                return _pinned.Values.Sum(pinned => pinned.Bytes);
        }
    }

    /// <summary>What a program did wrong.</summary>
    public IReadOnlyList<string> Faults
    {
        get
        {
            lock (_lock)
                return [.. _faults];
        }
    }

    /// <summary>What is still held: device memory, pinned memory, streams, events, modules, graphs.</summary>
    public IReadOnlyList<string> Leaks
    {
        get
        {
            lock (_lock)
            {
                return
                [
                    .. Devices.SelectMany(device => device.Memory.Live.Select(allocation => $"cuda:{device.Ordinal} memory: {allocation}")),
                    .. _pinned.Values.Select(pinned => $"pinned memory: {pinned.Bytes} bytes"),
                    .. _handles.Values.Where(value => value is not (FakeFunction or FakeNode or FakeDevice)).Select(value => value.GetType().Name),
                    .. Devices.Where(device => device.ContextReferences > 0).Select(device => $"cuda:{device.Ordinal} context"),
                ];
            }
        }
    }

    /// <summary>
    /// Handles and addresses have it in them: what a finalizer gives back of a machine before this one is told apart from a
    /// mistake.
    /// </summary>
    internal int Generation { get; }

    internal ManualResetEvent Never { get; } = new(initialState: false);

    /// <summary>Puts the fake driver in the real one's place, until it is disposed.</summary>
    /// <exception cref="InvalidOperationException">One is installed.</exception>
    public static FakeMachine Install(params IEnumerable<FakeGpu> gpus) => Install(gpus, quiet: true);

    /// <summary>Takes the fake driver away. Whatever was made with it must not be used again.</summary>
    public void Dispose()
    {
        if (Current != this)
            return;
        DriverLibrary.Find = null;
        Current = null;
        foreach (FakeDevice device in Devices)
        {
            device.Faults.LaunchGate.Set();
            device.EndStreams();
        }

        foreach (FakeModule module in _handles.Values.OfType<FakeModule>())
            module.Program.Dispose();
        foreach (FakeDevice device in Devices)
            device.Dispose();
        foreach (nint pinned in _pinned.Keys)
        {
            lock (Abandoned)
                Abandoned.Add(pinned);
            Free(pinned);
        }

        _pinned.Clear();
        Never.Dispose();
    }

    internal static FakeMachine Install(IEnumerable<FakeGpu> gpus, bool quiet)
    {
        if (Current is not null)
            throw new InvalidOperationException("A fake driver is installed; dispose it first.");
        FakeMachine machine = new(gpus, quiet);
        Current = machine;
        DriverLibrary.Find = EntryPoints.Find;
        return machine;
    }

    /// <summary>A handle that was never given before, so that a stale one is always found out.</summary>
    internal nint Add(object value)
    {
        lock (_lock)
        {
            _handles.Add(_nextHandle, value);
            nint handle = _nextHandle;
            _nextHandle += 0x10;
            return handle;
        }
    }

    internal T? Get<T>(nint handle)
        where T : class
    {
        lock (_lock)
            return _handles.GetValueOrDefault(handle) as T;
    }

    internal T? Remove<T>(nint handle)
        where T : class
    {
        lock (_lock)
        {
            T? value = _handles.GetValueOrDefault(handle) as T;
            if (value is not null)
                _handles.Remove(handle);
            return value;
        }
    }

    internal void Note(string fault)
    {
        lock (_lock)
            _faults.Add(fault);
        if (!_quiet)
            Console.Error.WriteLine($"fake CUDA driver: {fault}");
    }

    internal unsafe nint AllocatePinned(nint bytes)
    {
        nint address = (nint)NativeMemory.AlignedAlloc((nuint)Math.Max(1, bytes), 4096);
        new Span<byte>((void*)address, (int)bytes).Fill(0xCD);
        lock (_lock)
            _pinned.Add(address, new PinnedMemory(bytes));
        return address;
    }

    /// <summary>Gives pinned memory back.</summary>
    /// <returns>Whether it was pinned memory, and how many copies are still to run on it.</returns>
    internal (bool Found, int Pending) FreePinned(nint address)
    {
        PinnedMemory? pinned;
        lock (_lock)
        {
            if (!_pinned.Remove(address, out pinned))
                return (false, 0);
        }

        int pending = pinned.Pending;
        if (pending > 0)
        {
            foreach (FakeDevice device in Devices)
                device.SynchronizeAll();
        }

        Free(address);
        return (true, pending);
    }

    internal static bool WasAbandoned(nint pinned)
    {
        lock (Abandoned)
            return Abandoned.Remove(pinned);
    }

    /// <summary>The pinned memory that holds the range, or null.</summary>
    internal PinnedMemory? FindPinned(nint address, long bytes)
    {
        lock (_lock)
        {
            foreach ((nint start, PinnedMemory pinned) in _pinned)
            {
                if (address >= start && address + bytes <= start + pinned.Bytes)
                    return pinned;
            }

            return null;
        }
    }

    private static unsafe void Free(nint address) => NativeMemory.AlignedFree((void*)address);

    /// <summary>Host memory that copies run on without a stop between.</summary>
    internal sealed class PinnedMemory(long bytes)
    {
        private int _pending;

        public long Bytes { get; } = bytes;

        /// <summary>Copies that were asked for and have not run.</summary>
        public int Pending => Volatile.Read(ref _pending);

        public void Begin() => Interlocked.Increment(ref _pending);

        public void End() => Interlocked.Decrement(ref _pending);
    }
}
