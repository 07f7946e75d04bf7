using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Memory;
using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>One GPU of the fake driver: its memory, its streams, its one context, what went wrong.</summary>
public sealed class FakeDevice : IDisposable
{
    private readonly FakeMachine _machine;
    private readonly Lock _lock = new();
    private readonly Lock _kernels = new();
    private readonly List<FakeStream> _streams = [];
    private readonly List<string> _launched = [];
    private readonly FakeStream _null;
    private long _allocations;
    private long _pinnedAllocations;
    private long _launches;
    private long _copies;
    private long _copyCalls;
    private long _graphs;
    private long _nodeChanges;
    private long _instructions;
    private int _eventWaits;
    private int _launchesAtGate;
    private int _sticky;

    internal FakeDevice(FakeMachine machine, int ordinal, FakeGpu gpu)
    {
        _machine = machine;
        Ordinal = ordinal;
        Gpu = gpu;
        Memory = new DeviceMemory(gpu.MemoryBytes, (64 * (machine.Generation % 30)) + ordinal);
        _null = new FakeStream(this, nonBlocking: false, "null stream");
        _streams.Add(_null);
    }

    public int Ordinal { get; }

    public FakeGpu Gpu { get; }

    public FakeFaults Faults { get; } = new();

    public DeviceMemory Memory { get; }

    /// <summary>Allocations of device memory so far, those that failed too.</summary>
    public long Allocations => Interlocked.Read(ref _allocations);

    /// <summary>Allocations of pinned memory so far while its context was current, those that failed too.</summary>
    public long PinnedAllocations => Interlocked.Read(ref _pinnedAllocations);

    /// <summary>Kernels launched so far.</summary>
    public long Launches => Interlocked.Read(ref _launches);

    /// <summary>Their names, in the order in which they began.</summary>
    public IReadOnlyList<string> LaunchedKernels
    {
        get
        {
            lock (_lock)
                return [.. _launched];
        }
    }

    /// <summary>Copies so far.</summary>
    public long Copies => Interlocked.Read(ref _copies);

    /// <summary>Calls so far that asked for a copy or a fill.</summary>
    public long CopyCalls => Interlocked.Read(ref _copyCalls);

    /// <summary>Threads that wait for an event of it.</summary>
    public int EventWaits => Volatile.Read(ref _eventWaits);

    /// <summary>Launches whose turn it is and that wait for <see cref="FakeFaults.LaunchGate"/>: what their stream had to do before is done.</summary>
    public int LaunchesAtGate => Volatile.Read(ref _launchesAtGate);

    /// <summary>Graphs instantiated so far.</summary>
    public long Graphs => Interlocked.Read(ref _graphs);

    /// <summary>Launches of instantiated graphs that got other parameters so far.</summary>
    public long NodeChanges => Interlocked.Read(ref _nodeChanges);

    /// <summary>Instructions that lanes executed so far.</summary>
    public long LaneInstructions => Interlocked.Read(ref _instructions);

    /// <summary>The error that every call gets; <see cref="CUResult.Success"/> while there is none.</summary>
    public CUResult Sticky => (CUResult)Volatile.Read(ref _sticky);

    /// <summary>References to the primary context.</summary>
    internal int ContextReferences { get; set; }

    /// <summary>The handle of the primary context, 0 before it was first retained.</summary>
    internal nint Context { get; set; }

    internal FakeStream NullStream => _null;

    /// <summary>From now on every call gets this error, as after an Xid.</summary>
    public void Break(CUResult error) => Interlocked.CompareExchange(ref _sticky, (int)error, 0);

    public void Dispose() => Memory.Dispose();

    internal void EndStreams()
    {
        foreach (FakeStream stream in Streams())
        {
            stream.End();
            stream.Synchronize();
        }
    }

    internal FakeStream[] Streams()
    {
        lock (_lock)
            return [.. _streams];
    }

    internal FakeStream CreateStream(bool nonBlocking)
    {
        FakeStream stream = new(this, nonBlocking, "stream");
        lock (_lock)
            _streams.Add(stream);
        return stream;
    }

    internal void DestroyStream(FakeStream stream)
    {
        lock (_lock)
            _streams.Remove(stream);
        stream.End();
    }

    internal void SynchronizeAll()
    {
        foreach (FakeStream stream in Streams())
            stream.Synchronize();
    }

    internal void WaitFor(FakeEvent awaited)
    {
        Interlocked.Increment(ref _eventWaits);
        awaited.Synchronize();
        Interlocked.Decrement(ref _eventWaits);
    }

    internal void CountGraph() => Interlocked.Increment(ref _graphs);

    internal void CountNodeChange() => Interlocked.Increment(ref _nodeChanges);

    internal bool TakesAllocation() => Faults.TakesAllocation(Interlocked.Increment(ref _allocations));

    internal bool TakesPinnedAllocation() => Faults.TakesPinnedAllocation(Interlocked.Increment(ref _pinnedAllocations));

    internal CUResult AtCopyCall() => Faults.AtCopyCall(Interlocked.Increment(ref _copyCalls));

    /// <summary>Puts an operation into a stream. The null stream and those that are not non-blocking wait for each other.</summary>
    internal void Enqueue(FakeStream stream, Action operation)
    {
        if (!stream.NonBlocking)
        {
            foreach (FakeStream other in Streams())
            {
                if (other != stream && !other.NonBlocking && (other == _null || stream == _null) && !other.IsIdle)
                    other.Synchronize();
            }
        }

        stream.Enqueue(operation);
    }

    /// <summary>Runs one operation of a stream. After an error that stays, nothing is done any more but ends of waits.</summary>
    internal void Execute(Action operation)
    {
        try
        {
            operation();
        }
        catch (PtxFaultException fault)
        {
            Fail(fault.Message, fault.Kind switch
            {
                PtxFaultKind.Misaligned => CUResult.ErrorMisalignedAddress,
                PtxFaultKind.OutOfBounds or PtxFaultKind.UseAfterFree => CUResult.ErrorIllegalAddress,
                PtxFaultKind.Endless => CUResult.ErrorLaunchTimeout,
                _ => CUResult.ErrorLaunchFailed,
            });
        }
        catch (DeviceMemoryException fault)
        {
            Fail(fault.Message, CUResult.ErrorIllegalAddress);
        }
    }

    internal void Copy(Action copy)
    {
        if (Sticky != CUResult.Success)
            return;
        if (Faults.AtCopy(Interlocked.Increment(ref _copies)) is not CUResult.Success and CUResult injected)
            Break(injected);
        else
            copy();
    }

    internal void Run(FakeFunction function, LaunchShape shape, byte[] parameters)
    {
        if (Sticky != CUResult.Success)
            return;
        Interlocked.Increment(ref _launchesAtGate);
        Faults.LaunchGate.Wait();
        Interlocked.Decrement(ref _launchesAtGate);
        // A wait of a handle that is never set: the device is slow, no test waits for time.
        if (Faults.LaunchDelay > TimeSpan.Zero)
            _machine.Never.WaitOne(Faults.LaunchDelay);
        CUResult injected = Faults.AtLaunch(Interlocked.Increment(ref _launches));
        if (injected != CUResult.Success)
        {
            Break(injected);
            return;
        }

        lock (_lock)
            _launched.Add(function.Name);
        if (function.Module.IsUnloaded)
        {
            Fail($"{function.Name} is launched after its module was unloaded", CUResult.ErrorLaunchFailed);
            return;
        }

        // One kernel at a time: device memory knows one launch.
        lock (_kernels)
        {
            LaunchStatistics statistics = function.Module.Program.Launch(
                function.Name, shape, parameters, Gpu.Emulation with { MaxSharedBytes = Gpu.MaxSharedBytesOptin });
            Interlocked.Add(ref _instructions, statistics.LaneInstructions);
        }
    }

    /// <summary>Notes something that a program must not do, and makes the device unusable as a real one would.</summary>
    private void Fail(string message, CUResult error)
    {
        _machine.Note($"cuda:{Ordinal}: {message}");
        Break(error);
    }
}
