using System.Numerics;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// How fast a shard answers, and whether it is late just now: what hedging goes by. Kept as TCP keeps its retransmission
/// time (RFC 6298: mean and mean deviation, each a moving average), for calls of like size apart. Shared by all batches;
/// a lost update does no harm.
/// </summary>
internal sealed class ShardPace(TimeProvider time)
{
    private const int Sizes = 18;
    private const int Learned = 8;

    private readonly double[] _mean = new double[Sizes];
    private readonly double[] _deviation = new double[Sizes];
    private readonly int[] _count = new int[Sizes];
    private long _avoidUntil;
    private int _latePeriods;

    /// <summary>What is told of its lateness.</summary>
    public LateCalls LateCalls { get; } = new(time);

    /// <summary>Whether it was late and another replica is better asked. It gets another chance after a while, twice as long each time.</summary>
    public bool IsAvoided => Volatile.Read(ref _avoidUntil) > time.GetTimestamp();

    /// <summary>After how long (timestamp units) a call of so many pairs is late: four deviations above the mean, and never below <paramref name="shortest"/>; null while too little is known.</summary>
    /// <remarks>
    /// A size that was hardly seen goes by the nearest one that was: by a larger one's time as it is, by a smaller one's as many
    /// times as it is smaller. A shard that falls silent is most often asked something of a size that it has not answered yet.
    /// </remarks>
    public long? LateAfter(int pairs, TimeSpan shortest)
    {
        int size = Size(pairs);
        for (int distance = 0; distance < Sizes; distance++)
        {
            if (LimitOf(size + distance) is { } larger)
                return Math.Max((long)larger, Shortest());
            if (LimitOf(size - distance) is { } smaller)
                return Math.Max((long)(smaller * (1L << distance)), Shortest());
        }

        return null;

        long Shortest() => time.Units(shortest);
    }

    private double? LimitOf(int size) =>
        (uint)size < Sizes && Volatile.Read(ref _count[size]) >= Learned ? _mean[size] + (4 * _deviation[size]) : null;

    /// <summary>Takes the duration (timestamp units) of an answered call.</summary>
    public void Answered(int pairs, long duration)
    {
        int size = Size(pairs);
        if (_count[size] == 0)
        {
            (_mean[size], _deviation[size]) = (duration, duration / 2.0);
        }
        else
        {
            _deviation[size] += (Math.Abs(duration - _mean[size]) - _deviation[size]) / 4;
            _mean[size] += (duration - _mean[size]) / 8;
        }

        if (_count[size] < Learned)
            Volatile.Write(ref _count[size], _count[size] + 1);
    }

    /// <summary>A call was answered in time: it is not avoided any more.</summary>
    public void InTime()
    {
        if (Volatile.Read(ref _latePeriods) == 0)
            return;
        Volatile.Write(ref _avoidUntil, 0);
        Volatile.Write(ref _latePeriods, 0);
    }

    /// <summary>A call is late: the shard is avoided for a while.</summary>
    public void Late(TimeSpan first, TimeSpan longest)
    {
        if (IsAvoided)
            return;
        int periods = Math.Min(_latePeriods, 30);
        double seconds = Math.Min(first.TotalSeconds * (1L << periods), longest.TotalSeconds);
        Volatile.Write(ref _latePeriods, periods + 1);
        Volatile.Write(ref _avoidUntil, time.GetTimestamp() + (long)(seconds * time.TimestampFrequency));
    }

    /// <summary>Sizes by powers of two.</summary>
    private static int Size(int pairs) => Math.Min(BitOperations.Log2((uint)Math.Max(pairs, 1)), Sizes - 1);
}
