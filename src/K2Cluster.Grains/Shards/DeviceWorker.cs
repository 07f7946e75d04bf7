using System.Diagnostics;
using System.Runtime.InteropServices;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using K2Cluster.Telemetry;

namespace K2Cluster.Grains.Shards;

/// <summary>
/// The thread that computes on a device, fed by a bounded queue. A thread of its own, because computing on a grain's turn or
/// on the thread pool raises the latency of every other grain from 0.14 ms to 0.5-2 s (50 ms of work, 16 callers, 2 cores).
/// A caller in this process that waits anyway may compute on its own thread.
/// </summary>
internal sealed class DeviceWorker : IDisposable
{
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(5);

    private readonly IExpertDevice _device;
    private readonly Action<int, int> _onDone;
    private readonly Action _onLost;
    private readonly string _name;
    private readonly int _capacity;
    private readonly Queue<Job> _queue = new();
    private readonly DevicePace _pace;
    private readonly object _gate = new();

    /// <summary>Held while the device computes and its buffers are read.</summary>
    private readonly object _computing = new();
    private readonly Thread _thread;
    private readonly ForwardPace _speed = new();
    private ExpertWork _work;
    private bool _stopping;

    /// <param name="name">The shard's, for the thread and for metrics.</param>
    /// <param name="device">The device; this worker alone calls its Forward, one call at a time.</param>
    /// <param name="capacity">How many frames may wait.</param>
    /// <param name="onDone">Called with (layer, expert) for each pair computed, by one thread at a time.</param>
    /// <param name="onLost">Called when a forward shows that the device is lost.</param>
    /// <param name="time">The clock by which it hangs.</param>
    public DeviceWorker(string name, IExpertDevice device, int capacity, Action<int, int> onDone, Action onLost, TimeProvider time)
    {
        _pace = new DevicePace(time);
        (_name, _device, _capacity, _onDone, _onLost) = (name, device, capacity, onDone, onLost);
        _work = device.CreateWork(16, 128);
        _thread = new Thread(Run) { Name = $"k2-device {name}", IsBackground = true };
        _thread.Start();
    }

    public int HiddenSize => _work.HiddenSize;

    /// <summary>Expert rows that the device computes in a second; 0 until that is known.</summary>
    public double RowsPerSecond => _speed.RowsPerSecond;

    /// <summary>Whether nothing uses the device any more; false before the disposal, and after it when the device hangs.</summary>
    public bool HasStopped { get; private set; }

    /// <summary>How the device gets on.</summary>
    public DevicePace Pace => _pace;

    /// <summary>Queues a frame that is valid, or fails its receiver when the worker has stopped; false when the queue is full, and then the frame is the caller's still.</summary>
    public bool TryEnqueue(ExpertFrame frame, IForwardReceiver receiver)
    {
        lock (_gate)
        {
            if (!_stopping)
            {
                if (_queue.Count >= _capacity)
                    return false;
                _queue.Enqueue(new Job(frame, receiver));
                Monitor.Pulse(_gate);
                return true;
            }
        }

        Refuse(new Job(frame, receiver));
        return true;
    }

    /// <summary>Ends the frame that is being computed, refuses those that wait, and ends the thread.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_stopping)
                return;
            _stopping = true;
            Monitor.Pulse(_gate);
        }

        // A device that hangs must not keep the process from ending; then its buffers stay, too.
        if (!_thread.Join(StopPatience) || !Monitor.TryEnter(_computing, StopPatience))
            return;
        HasStopped = true;
        _work.Dispose();
        Monitor.Exit(_computing);
    }

    /// <summary>Computes a batch that is valid, on the calling thread; see <see cref="Cluster.Dispatch.ILocalShard.Compute"/>.</summary>
    /// <exception cref="ObjectDisposedException">The worker has stopped.</exception>
    public string? Compute(ExpertBatch batch, Span<PairStatus> pairs)
    {
        lock (_computing)
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _stopping), this);
            using Activity? activity = StartActivity(batch.Layer, batch.Rows, pairs.Length, default);
            long start = Stopwatch.GetTimestamp();
            string? problem = Reserve(batch.Rows, pairs.Length);
            if (problem is null)
            {
                _work.Set(batch);
                problem = Forward(pairs.Length);
                _work.Statuses.CopyTo(pairs);
                _work.Outputs.CopyTo(batch.Outputs.Span);
            }
            else
            {
                pairs.Fill(FailedStatus());
            }

            K2Telemetry.ForwardDuration.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
            activity?.SetStatus(problem is null ? ActivityStatusCode.Ok : ActivityStatusCode.Error, problem);
            return problem is null ? null : $"Shard {_name} failed in layer {batch.Layer}: {problem}";
        }
    }

    private void Run()
    {
        _device.BindThread();
        while (Next() is { } job)
            Serve(job);

        lock (_gate)
        {
            while (_queue.TryDequeue(out Job job))
                Refuse(job);
        }
    }

    private void Refuse(Job job)
    {
        job.Frame.Dispose();
        job.Receiver.Fail(new ObjectDisposedException(_name, "The shard is shutting down."));
    }

    private Job? Next()
    {
        lock (_gate)
        {
            while (_queue.Count == 0 && !_stopping)
                Monitor.Wait(_gate);
            return _stopping ? null : _queue.Dequeue();
        }
    }

    private void Serve(Job job)
    {
        ExpertReply? reply = null;
        Exception? failure = null;
        lock (_computing)
        {
            if (job.Receiver.IsCancelled)
                failure = new OperationCanceledException("Nobody waited for it any more.");
            else
                (reply, failure) = Compute(job.Frame);
        }

        job.Frame.Dispose();
        if (reply is not null)
            job.Receiver.Complete(reply);
        else
            job.Receiver.Fail(failure!);
    }

    private (ExpertReply? Reply, Exception? Failure) Compute(ExpertFrame frame)
    {
        using Activity? activity = StartActivity(frame.Layer, frame.Rows, frame.Pairs, frame.Trace);
        try
        {
            long start = Stopwatch.GetTimestamp();
            string? problem = Reserve(frame.Rows, frame.Pairs);
            bool hasRoom = problem is null;
            if (hasRoom)
            {
                Fill(frame);
                problem = Forward(frame.Pairs);
            }

            K2Telemetry.ForwardDuration.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
            activity?.SetStatus(problem is null ? ActivityStatusCode.Ok : ActivityStatusCode.Error, problem);
            return (MakeReply(frame, problem, hasRoom), null);
        }
        catch (Exception exception)
        {
            activity?.SetStatus(ActivityStatusCode.Error, exception.Message);
            return (null, exception);
        }
    }

    private Activity? StartActivity(int layer, int rows, int pairs, ActivityContext parent) =>
        K2Telemetry.Activities.StartActivity("k2.shard.forward", ActivityKind.Server, parent)
            ?.SetTag("k2.shard", _name).SetTag("k2.layer", layer).SetTag("k2.rows", rows).SetTag("k2.pairs", pairs);

    /// <summary>Computes what is in the device's buffers. What the device throws fails the pairs that it left open, never the process.</summary>
    private string? Forward(int pairs)
    {
        _pace.Begin(pairs);
        TimeSpan duration;
        try
        {
            _device.Forward(_work);
        }
        catch (Exception exception)
        {
            _work.Statuses.Fill(FailedStatus());
            return exception.Message;
        }
        finally
        {
            duration = _pace.End();
        }

        int done = 0;

        // A device that forgets a pair must not leave it open.
        _work.Statuses.Replace(PairStatus.Pending, PairStatus.Failed);
        for (int pair = 0; pair < _work.Pairs; pair++)
        {
            if (_work.Statuses[pair] != PairStatus.Done)
                continue;
            _onDone(_work.Layer, _work.PairExperts[pair]);
            done++;
        }

        _speed.Add(done, duration);
        return _work.Statuses.Contains(PairStatus.Failed) ? $"{_device.Description.Name} could not compute them" : null;
    }

    /// <summary>Of pairs that the device threw at. One that is lost holds nothing any more: the pairs wait for the next plan, which gives them to another.</summary>
    private PairStatus FailedStatus()
    {
        if (_device.Lost is null)
            return PairStatus.Failed;
        _onLost();
        return PairStatus.NotHeld;
    }

    /// <summary>Makes the device's buffers large enough; when it has no room for that, says so and leaves those that are there.</summary>
    private string? Reserve(int rows, int pairs)
    {
        if (rows <= _work.MaxRows && pairs <= _work.MaxPairs)
            return null;
        ExpertWork larger;
        try
        {
            larger = _device.CreateWork(RoundUp(rows, _work.MaxRows), RoundUp(pairs, _work.MaxPairs));
        }
        catch (Exception exception)
        {
            return exception.Message;
        }

        _work.Dispose();
        _work = larger;
        return null;
    }

    private void Fill(ExpertFrame frame)
    {
        _work.Reset(frame.Layer, frame.Rows, frame.Pairs);
        ReadOnlySpan<byte> payload = frame.Payload.Span;
        int rowBytes = frame.Rows * frame.HiddenSize * sizeof(ushort);
        MemoryMarshal.Cast<byte, ushort>(payload[..rowBytes]).CopyTo(_work.Hidden);
        ReadOnlySpan<int> asked = MemoryMarshal.Cast<byte, int>(payload[rowBytes..]);
        Span<int> rowsOf = _work.PairRows;
        Span<int> expertsOf = _work.PairExperts;
        for (int pair = 0; pair < frame.Pairs; pair++)
            (rowsOf[pair], expertsOf[pair]) = (asked[2 * pair], asked[(2 * pair) + 1]);
    }

    private ExpertReply MakeReply(ExpertFrame frame, string? problem, bool hasRoom)
    {
        ExpertReply reply = new() { Status = ReplyStatus.Computed, Pairs = frame.Pairs, HiddenSize = frame.HiddenSize, Problem = problem };
        reply.Rent(ExpertReply.PayloadLength(frame.Pairs, frame.HiddenSize));
        Span<byte> payload = reply.Payload.Span;
        int statusLength = ExpertReply.StatusLength(frame.Pairs);
        if (!hasRoom)
        {
            payload.Clear(); // what a pooled buffer held before is nobody's business
            payload[..frame.Pairs].Fill((byte)FailedStatus());
            return reply;
        }

        payload[..statusLength].Clear();
        MemoryMarshal.AsBytes(_work.Statuses).CopyTo(payload);
        MemoryMarshal.AsBytes(_work.Outputs).CopyTo(payload[statusLength..]);
        return reply;
    }

    private static int RoundUp(int needed, int had) => Math.Max(had, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)needed));

    private readonly record struct Job(ExpertFrame Frame, IForwardReceiver Receiver);
}
