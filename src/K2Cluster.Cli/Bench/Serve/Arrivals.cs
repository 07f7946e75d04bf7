namespace K2Cluster.Cli;

/// <summary>When requests arrive.</summary>
internal static class Arrivals
{
    /// <summary>Offsets from the start, rising: a Poisson process of a rate, or all at 0 without one.</summary>
    public static TimeSpan[] Of(int count, double? requestsPerSecond, int seed)
    {
        TimeSpan[] arrivals = new TimeSpan[count];
        if (requestsPerSecond is not double rate)
            return arrivals;
        Random random = new(seed);
        double at = 0;
        for (int i = 0; i < count; i++)
        {
            arrivals[i] = TimeSpan.FromSeconds(at);
            at += -Math.Log(1 - random.NextDouble()) / rate;
        }

        return arrivals;
    }
}
