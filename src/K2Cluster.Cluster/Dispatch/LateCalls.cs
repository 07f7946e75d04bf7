namespace K2Cluster.Cluster.Dispatch;

/// <summary>How often a shard was late since that was last told. Some lateness is what hedging is for: it is told once a minute at most.</summary>
internal sealed class LateCalls(TimeProvider time)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private long? _told;
    private int _count;
    private TimeSpan _least;
    private TimeSpan _most;

    /// <summary>Takes that a call was late after so long.</summary>
    /// <returns>Whether it is to be told: then what was late since the last time, which is <see cref="Summary.Past"/> ago.</returns>
    public bool Add(TimeSpan duration, out Summary summary)
    {
        lock (_lock)
        {
            _least = _count == 0 || duration < _least ? duration : _least;
            _most = _count == 0 || duration > _most ? duration : _most;
            _count++;
            long now = time.GetTimestamp();
            TimeSpan past = _told is { } told ? time.GetElapsedTime(told, now) : Interval;
            summary = new Summary(_count, past, _least, _most);
            if (past < Interval)
                return false;
            (_told, _count) = (now, 0);
            return true;
        }
    }

    public readonly record struct Summary(int Count, TimeSpan Past, TimeSpan Least, TimeSpan Most);
}
