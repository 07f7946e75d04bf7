namespace K2Cluster.Cli;

/// <summary>How values lie: their mean, and two percentiles, interpolated linearly between neighbours.</summary>
internal sealed record Spread(double Mean, double P50, double P99)
{
    /// <exception cref="ArgumentException">There are no values.</exception>
    public static Spread Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        if (sorted.Length == 0)
            throw new ArgumentException("There are no values.", nameof(values));
        return new Spread(sorted.Average(), Percentile(sorted, 0.50), Percentile(sorted, 0.99));
    }

    private static double Percentile(double[] sorted, double share)
    {
        double position = share * (sorted.Length - 1);
        int below = (int)position;
        int above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
    }
}
