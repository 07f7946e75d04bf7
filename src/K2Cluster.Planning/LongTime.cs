namespace K2Cluster.Planning;

/// <summary>Times that come from rates: a slow one gives more than a <see cref="TimeSpan"/> can tell.</summary>
internal static class LongTime
{
    /// <summary>Longer ones are not told apart; a few of them can be added.</summary>
    private static readonly TimeSpan Most = TimeSpan.FromDays(365 * 1000);

    public static TimeSpan FromSeconds(double seconds) => seconds < Most.TotalSeconds ? TimeSpan.FromSeconds(seconds) : Most;
}
