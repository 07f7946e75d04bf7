namespace K2Cluster.Grains.Shards;

/// <summary>
/// Whether a device gets on: how long its present call takes, against what its calls take by their pairs. It hangs when a
/// call takes more than 20 times that, and more than 10 s; the first call, in which a GPU may still compile, 60 s. Written by
/// who computes, read by anybody.
/// </summary>
internal sealed class DevicePace(TimeProvider time)
{
    private const double TimesPace = 20;
    private static readonly TimeSpan Shortest = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan First = TimeSpan.FromSeconds(60);

    private long _start;
    private int _pairs;
    private double _ticksPerPair;

    /// <summary>How long the present call takes; null when there is none.</summary>
    public TimeSpan? Running => Volatile.Read(ref _start) is not 0 and var start ? time.GetElapsedTime(start) : null;

    public bool IsHung => Running is { } running && running > Limit;

    private TimeSpan Limit
    {
        get
        {
            double perPair = Volatile.Read(ref _ticksPerPair);
            double limit = TimesPace * perPair * Volatile.Read(ref _pairs) / time.TimestampFrequency;
            return perPair == 0 ? First : limit > Shortest.TotalSeconds ? TimeSpan.FromSeconds(limit) : Shortest;
        }
    }

    public void Begin(int pairs)
    {
        Volatile.Write(ref _pairs, pairs);
        Volatile.Write(ref _start, Math.Max(time.GetTimestamp(), 1));
    }

    /// <summary>A call has ended, in the time returned; a moving average over about eight.</summary>
    public TimeSpan End()
    {
        long end = time.GetTimestamp();
        TimeSpan duration = time.GetElapsedTime(_start, end);
        double perPair = Math.Max(end - _start, 1) / (double)Math.Max(_pairs, 1);
        Volatile.Write(ref _ticksPerPair, _ticksPerPair == 0 ? perPair : _ticksPerPair + ((perPair - _ticksPerPair) / 8));
        Volatile.Write(ref _start, 0);
        return duration;
    }
}
