namespace K2Cluster.Engine.Tests.Fakes;

/// <summary>Time that stands still, until somebody waits for a timer: then it is that moment at once.</summary>
internal sealed class SteppingTime : TimeProvider
{
    private long _ticks;

    /// <summary>Thrown by whoever sets a timer.</summary>
    public Exception? Broken { get; set; }

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Interlocked.Read(ref _ticks);

    public void Advance(TimeSpan by) => Interlocked.Add(ref _ticks, by.Ticks);

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        new Timer(this, () => callback(state));

    private sealed class Timer(SteppingTime time, Action callback) : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            if (time.Broken is not null)
                throw time.Broken;
            if (dueTime != Timeout.InfiniteTimeSpan)
            {
                time.Advance(dueTime);
                callback();
            }

            return true;
        }

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
