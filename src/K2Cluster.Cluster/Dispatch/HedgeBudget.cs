namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// How many calls may be hedged just now: a few at once, and beyond them a share of those sent. What was not needed in quiet
/// hours does not pile up for a busy one, in which hedges would make it worse.
/// </summary>
/// <param name="percent">Hedges for a hundred calls.</param>
internal sealed class HedgeBudget(int percent)
{
    public const int Most = 16;

    private const int Price = 100;

    /// <summary>In hundredths of a hedge.</summary>
    private int _left = Most * Price;

    /// <summary>Counts a call that is sent.</summary>
    public void Earn()
    {
        for (int left = Volatile.Read(ref _left); left < Most * Price;)
        {
            int before = Interlocked.CompareExchange(ref _left, Math.Min(left + percent, Most * Price), left);
            if (before == left)
                return;
            left = before;
        }
    }

    /// <summary>Whether one more call may be hedged. Counts it if so.</summary>
    public bool TrySpend()
    {
        for (int left = Volatile.Read(ref _left); left >= Price;)
        {
            int before = Interlocked.CompareExchange(ref _left, left - Price, left);
            if (before == left)
                return true;
            left = before;
        }

        return false;
    }
}
