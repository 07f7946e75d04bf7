using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>
/// What goes wrong on a device, and when. Numbers count from 1 since the device was made; <see cref="FakeDevice.Allocations"/>
/// and its like tell how far they are. Thread-safe.
/// </summary>
public sealed class FakeFaults
{
    private readonly Lock _lock = new();
    private readonly HashSet<long> _allocations = [];
    private readonly HashSet<long> _pinnedAllocations = [];
    private readonly Dictionary<long, CUResult> _launches = [];
    private readonly Dictionary<long, CUResult> _copies = [];
    private readonly Dictionary<long, CUResult> _refused = [];
    private (string Path, CUResult Error)? _file;

    /// <summary>Before each launch the device waits so long.</summary>
    public TimeSpan LaunchDelay { get; set; }

    /// <summary>While it is not set, no launch begins. For tests that must see a launch under way.</summary>
    public ManualResetEventSlim LaunchGate { get; } = new(initialState: true);

    /// <summary>The n-th allocation of device memory finds none.</summary>
    public void OutOfMemoryAtAllocation(long number)
    {
        lock (_lock)
            _allocations.Add(number);
    }

    /// <summary>The n-th allocation of pinned memory of the host finds none.</summary>
    public void OutOfMemoryAtPinnedAllocation(long number)
    {
        lock (_lock)
            _pinnedAllocations.Add(number);
    }

    /// <summary>The n-th launch of a kernel ends with an error that stays: every later call of the device gets it.</summary>
    public void StickyErrorAtLaunch(long number, CUResult error = CUResult.ErrorLaunchFailed)
    {
        lock (_lock)
            _launches[number] = error;
    }

    /// <summary>The n-th copy (of either direction, counted when it runs) ends with an error that stays.</summary>
    public void StickyErrorAtCopy(long number, CUResult error = CUResult.ErrorIllegalAddress)
    {
        lock (_lock)
            _copies[number] = error;
    }

    /// <summary>The n-th call that asks for a copy or a fill gets this error and nothing is copied; later calls are as before.</summary>
    public void PassingErrorAtCopyCall(long number, CUResult error)
    {
        lock (_lock)
            _refused[number] = error;
    }

    /// <summary>From the launch on before which the file exists, the error stays: for processes that a test cannot reach.</summary>
    public void StickyErrorWhenFileExists(string path, CUResult error = CUResult.ErrorECCUncorrectable)
    {
        lock (_lock)
            _file = (path, error);
    }

    internal bool TakesAllocation(long number)
    {
        lock (_lock)
            return !_allocations.Contains(number);
    }

    internal bool TakesPinnedAllocation(long number)
    {
        lock (_lock)
            return !_pinnedAllocations.Contains(number);
    }

    internal CUResult AtLaunch(long number)
    {
        lock (_lock)
        {
            if (_file is { } file && File.Exists(file.Path))
                return file.Error;
            return _launches.GetValueOrDefault(number);
        }
    }

    internal CUResult AtCopy(long number)
    {
        lock (_lock)
            return _copies.GetValueOrDefault(number);
    }

    internal CUResult AtCopyCall(long number)
    {
        lock (_lock)
            return _refused.GetValueOrDefault(number);
    }
}
