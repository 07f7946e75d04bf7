using System.Diagnostics;

namespace K2Cluster.FaultySilo;

/// <summary>Holds its callers to a rate: each is let go when its work would be done at that rate, one after another.</summary>
/// <param name="perSecond">The rate.</param>
/// <param name="owed">So much of the time that passed without work is made up for: where callers come one after the other, each wakes a little late.</param>
internal sealed class Pace(double perSecond, TimeSpan owed = default)
{
    private readonly Lock _lock = new();
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private double _free;

    /// <summary>Waits until so much work that began now, or when the work before it ends, is done.</summary>
    public void Wait(double work)
    {
        double until;
        lock (_lock)
            until = _free = Math.Max(_free, _clock.Elapsed.TotalSeconds - owed.TotalSeconds) + (work / perSecond);
        double left = until - _clock.Elapsed.TotalSeconds;
        if (left > 0)
            Thread.Sleep(TimeSpan.FromSeconds(left));
    }
}
