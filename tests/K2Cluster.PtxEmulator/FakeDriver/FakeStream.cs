namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>A stream: a thread that does what was put in, in order.</summary>
internal sealed class FakeStream
{
    private readonly object _lock = new();
    private readonly Queue<Action> _queue = new();
    private readonly FakeDevice _device;
    private long _enqueued;
    private long _done;

    /// <summary>How many operations may begin; of a device that is not lazy, all.</summary>
    private long _released;
    private bool _ends;

    public FakeStream(FakeDevice device, bool nonBlocking, string name)
    {
        _device = device;
        NonBlocking = nonBlocking;
        Thread thread = new(Run) { IsBackground = true, Name = $"{device.Gpu.Name} {name}" };
        thread.Start();
    }

    public FakeDevice Device => _device;

    /// <summary>Does not wait for the null stream.</summary>
    public bool NonBlocking { get; }

    public bool IsIdle
    {
        get
        {
            lock (_lock)
                return _done == _enqueued;
        }
    }

    public void Enqueue(Action operation)
    {
        lock (_lock)
        {
            _queue.Enqueue(operation);
            _enqueued++;
            if (!_device.Gpu.Lazy)
                _released = _enqueued;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Lets all that was put in begin.</summary>
    public void Release()
    {
        lock (_lock)
        {
            _released = _enqueued;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Waits for all that was put in before.</summary>
    public void Synchronize()
    {
        lock (_lock)
        {
            long all = _enqueued;
            _released = Math.Max(_released, all);
            Monitor.PulseAll(_lock);
            while (_done < all)
                Monitor.Wait(_lock);
        }
    }

    /// <summary>The thread ends after what was put in.</summary>
    public void End()
    {
        lock (_lock)
        {
            _ends = true;
            _released = _enqueued;
            Monitor.PulseAll(_lock);
        }
    }

    private void Run()
    {
        while (true)
        {
            Action operation;
            lock (_lock)
            {
                while (_done >= _released && !(_ends && _done == _enqueued))
                    Monitor.Wait(_lock);
                if (_done == _enqueued)
                    return;
                operation = _queue.Dequeue();
            }

            _device.Execute(operation);
            lock (_lock)
            {
                _done++;
                Monitor.PulseAll(_lock);
            }
        }
    }
}
