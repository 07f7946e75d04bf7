using System.Diagnostics;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>An event: the last record that was asked for, and the last that a stream came to.</summary>
internal sealed class FakeEvent(FakeDevice device, bool timed)
{
    private readonly object _lock = new();
    private long _asked;
    private long _reached;
    private long _timestamp;
    private FakeStream? _stream;

    public FakeDevice Device { get; } = device;

    public bool Timed { get; } = timed;

    public bool WasRecorded
    {
        get
        {
            lock (_lock)
                return _asked > 0;
        }
    }

    /// <summary>Stopwatch ticks of the last record that was reached.</summary>
    public long Timestamp
    {
        get
        {
            lock (_lock)
                return _timestamp;
        }
    }

    public bool IsReached
    {
        get
        {
            lock (_lock)
            {
                _stream?.Release();
                return _reached >= _asked;
            }
        }
    }

    public void Record(FakeStream stream)
    {
        long number;
        lock (_lock)
        {
            number = ++_asked;
            _stream = stream;
        }

        stream.Enqueue(() =>
        {
            lock (_lock)
            {
                _reached = Math.Max(_reached, number);
                _timestamp = Stopwatch.GetTimestamp();
                Monitor.PulseAll(_lock);
            }
        });
    }

    /// <summary>Waits for the last record asked for so far.</summary>
    public void Synchronize() => WaitFor(Asked());

    public long Asked()
    {
        lock (_lock)
            return _asked;
    }

    public void WaitFor(long number)
    {
        FakeStream? stream;
        lock (_lock)
            stream = _stream;
        stream?.Release();
        lock (_lock)
        {
            while (_reached < number)
                Monitor.Wait(_lock);
        }
    }
}
