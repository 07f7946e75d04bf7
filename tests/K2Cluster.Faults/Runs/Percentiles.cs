namespace K2Cluster.Faults.Runs;

/// <summary>Percentiles of a few values.</summary>
internal static class Percentiles
{
    /// <summary>The nearest rank; zero of nothing.</summary>
    public static TimeSpan At(this IEnumerable<TimeSpan> values, double part)
    {
        TimeSpan[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? TimeSpan.Zero : sorted[Math.Clamp((int)Math.Ceiling(part * sorted.Length) - 1, 0, sorted.Length - 1)];
    }
}
