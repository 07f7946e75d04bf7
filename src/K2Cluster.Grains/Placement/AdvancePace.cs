namespace K2Cluster.Grains.Placement;

/// <summary>
/// When to act on what comes in: at once where that was not just done, else soon, and then once for all that came meanwhile.
/// Not thread-safe: its owner's turns are one at a time, and it acts on them.
/// </summary>
/// <param name="least">From the end of one act to the next, where nothing is urgent.</param>
/// <param name="time">The clock.</param>
/// <param name="act">What is done.</param>
internal sealed class AdvancePace(TimeSpan least, TimeProvider time, Action act)
{
    private long? _acted;
    private bool _isDue;
    private bool _waits;

    /// <summary>Acts at once, for all that came before as well.</summary>
    public void Now()
    {
        _isDue = false;
        act();
        _acted = time.GetTimestamp();
    }

    /// <summary>Acts within the pace.</summary>
    public void Soon()
    {
        _isDue = true;
        if (_waits)
            return;
        TimeSpan left = _acted is { } acted ? least - time.GetElapsedTime(acted) : TimeSpan.Zero;
        if (left <= TimeSpan.Zero)
            Now();
        else
            WaitAsync(left).Ignore(); // what fails for good fails in the owner's own turns, too
    }

    private async Task WaitAsync(TimeSpan left)
    {
        _waits = true;
        await Task.Delay(left, time);
        _waits = false;
        if (_isDue)
            Now();
    }
}
