namespace K2Cluster.Engine.Scheduling;

/// <summary>
/// How often requests end, over the last 32 of them: what a refused client is told. Time in which the engine had nothing to
/// do does not count. Safe for several threads.
/// </summary>
internal sealed class CompletionRate
{
    private const int Window = 32;
    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Longest = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private readonly Queue<TimeSpan> _ends = new(Window + 1);
    private TimeSpan _windowStart;
    private TimeSpan _idle;

    public void Add(long count, TimeSpan now)
    {
        lock (_lock)
        {
            for (long i = Math.Min(count, Window); i > 0; i--)
            {
                _ends.Enqueue(now - _idle);
                if (_ends.Count > Window)
                    _windowStart = _ends.Dequeue();
            }
        }
    }

    /// <summary>The engine had no request from one moment to the other.</summary>
    public void Idle(TimeSpan from, TimeSpan to)
    {
        lock (_lock)
            _idle += to - from;
    }

    /// <summary>The time until so many requests are likely to have ended, by the mean time between ends, or by the time waited in vain for a first one.</summary>
    public TimeSpan TimeToNext(TimeSpan now, int count = 1)
    {
        lock (_lock)
        {
            TimeSpan time = (now - _idle - _windowStart) / Math.Max(1, _ends.Count) * count;
            return time < Shortest ? Shortest : time > Longest ? Longest : time;
        }
    }
}
