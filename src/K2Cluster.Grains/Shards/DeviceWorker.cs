using System.Diagnostics;
using System.Runtime.InteropServices;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Telemetry;

namespace K2Cluster.Grains.Shards;

/// <summary>
/// The thread that computes on a device, fed by a bounded queue. A thread of its own, because computing on a grain's turn or
/// on the thread pool raises the latency of every other grain from 0.14 ms to 0.5-2 s (50 ms of work, 16 callers, 2 cores).
/// </summary>
internal sealed class DeviceWorker : IDisposable
{
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(5);

    private readonly IExpertDevice _device;
    private readonly Action<int, int> _onDone;
    private readonly string _name;
    private readonly int _capacity;
    private readonly Queue<Job> _queue = new();
    private readonly object _gate = new();
    private readonly Thread _thread;
    private ExpertWork _work;
    private bool _stopping;

    /// <param name="name">The shard's, for the thread and for metrics.</param>
    /// <param name="device">The device; this worker alone calls its Forward.</param>
    /// <param name="capacity">How many frames may wait.</param>
    /// <param name="onDone">Called on the worker's thread with (layer, expert) for each pair computed.</param>
    public DeviceWorker(string name, IExpertDevice device, int capacity, Action<int, int> onDone)
    {
        (_name, _device, _capacity, _onDone) = (name, device, capacity, onDone);
        _work = device.CreateWork(16, 128);
        _thread = new Thread(Run) { Name = $"k2-device {name}", IsBackground = true };
        _thread.Start();
    }

    public int HiddenSize => _work.HiddenSize;

    /// <summary>Whether nothing uses the device any more; false before the disposal, and after it when the device hangs.</summary>
    public bool HasStopped { get; private set; }

    /// <summary>Queues a frame that is valid; null when the queue is full. A cancelled frame that still waits is not computed.</summary>
    /// <exception cref="ObjectDisposedException">The worker has stopped.</exception>
    public Task<ExpertReply>? TryEnqueue(ExpertFrame frame, CancellationToken cancellationToken)
    {
        Job job = new(frame);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_stopping, this);
            if (_queue.Count >= _capacity)
                return null;
            _queue.Enqueue(job);
            Monitor.Pulse(_gate);
        }

        job.CancelWith(cancellationToken);
        return job.Completion.Task;
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
        HasStopped = _thread.Join(StopPatience);
        if (HasStopped)
            _work.Dispose();
    }

    private void Run()
    {
        while (Next() is { } job)
        {
            using (job)
            {
                if (!job.Completion.Task.IsCompleted)
                    Compute(job);
            }
        }

        lock (_gate)
        {
            while (_queue.TryDequeue(out Job? job))
            {
                using (job)
                    job.Completion.TrySetException(new ObjectDisposedException(_name, "The shard is shutting down."));
            }
        }
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

    private void Compute(Job job)
    {
        ExpertFrame frame = job.Frame;
        ExpertReply? reply = null;
        using Activity? activity = K2Telemetry.Activities.StartActivity("k2.shard.forward", ActivityKind.Server, frame.Trace);
        activity?.SetTag("k2.shard", _name).SetTag("k2.layer", frame.Layer).SetTag("k2.rows", frame.Rows).SetTag("k2.pairs", frame.Pairs);
        try
        {
            long start = Stopwatch.GetTimestamp();
            string? problem = Reserve(frame);
            bool hasRoom = problem is null;
            problem ??= Forward(frame);
            K2Telemetry.ForwardDuration.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
            activity?.SetStatus(problem is null ? ActivityStatusCode.Ok : ActivityStatusCode.Error, problem);
            reply = MakeReply(frame, problem, hasRoom);
        }
        catch (Exception exception)
        {
            activity?.SetStatus(ActivityStatusCode.Error, exception.Message);
            job.Completion.TrySetException(exception);
            return;
        }

        if (!job.Completion.TrySetResult(reply))
            reply.Dispose();
    }

    /// <summary>Computes the frame in the device's buffers. What the device throws fails the pairs that it left open, never the process.</summary>
    private string? Forward(ExpertFrame frame)
    {
        Fill(frame);
        try
        {
            _device.Forward(_work);
        }
        catch (Exception exception)
        {
            _work.Statuses.Fill(PairStatus.Failed);
            return exception.Message;
        }

        // A device that forgets a pair must not leave it open.
        _work.Statuses.Replace(PairStatus.Pending, PairStatus.Failed);
        for (int pair = 0; pair < frame.Pairs; pair++)
        {
            if (_work.Statuses[pair] == PairStatus.Done)
                _onDone(frame.Layer, _work.PairExperts[pair]);
        }

        return _work.Statuses.Contains(PairStatus.Failed) ? $"{_device.Description.Name} could not compute them" : null;
    }

    /// <summary>Makes the device's buffers large enough; when it has no room for that, says so and leaves those that are there.</summary>
    private string? Reserve(ExpertFrame frame)
    {
        if (frame.Rows <= _work.MaxRows && frame.Pairs <= _work.MaxPairs)
            return null;
        ExpertWork larger;
        try
        {
            larger = _device.CreateWork(RoundUp(frame.Rows, _work.MaxRows), RoundUp(frame.Pairs, _work.MaxPairs));
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
            payload[..frame.Pairs].Fill((byte)PairStatus.Failed);
            return reply;
        }

        payload[..statusLength].Clear();
        MemoryMarshal.AsBytes(_work.Statuses).CopyTo(payload);
        MemoryMarshal.AsBytes(_work.Outputs).CopyTo(payload[statusLength..]);
        return reply;
    }

    private static int RoundUp(int needed, int had) => Math.Max(had, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)needed));

    private sealed class Job(ExpertFrame frame) : IDisposable
    {
        private CancellationTokenRegistration _registration;

        public ExpertFrame Frame => frame;

        public TaskCompletionSource<ExpertReply> Completion { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void CancelWith(CancellationToken cancellationToken)
        {
            if (!cancellationToken.CanBeCanceled)
                return;
            _registration = cancellationToken.UnsafeRegister(static (state, token) => ((Job)state!).Completion.TrySetCanceled(token), this);
            if (Completion.Task.IsCompleted)
                _registration.Dispose();
        }

        public void Dispose()
        {
            _registration.Dispose();
            frame.Dispose();
        }
    }
}
