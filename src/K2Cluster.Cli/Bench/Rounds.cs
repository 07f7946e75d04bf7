namespace K2Cluster.Cli;

/// <summary>A figure measured several times: the middle one, the extremes, and each as it came.</summary>
internal sealed record Rounds(double Median, double Min, double Max, IReadOnlyList<double> All)
{
    /// <exception cref="ArgumentException">There are no values.</exception>
    public static Rounds Of(IReadOnlyList<double> values)
    {
        double[] sorted = [.. values.Order()];
        if (sorted.Length == 0)
            throw new ArgumentException("There are no values.", nameof(values));
        double median = sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
        return new Rounds(median, sorted[0], sorted[^1], [.. values]);
    }
}
