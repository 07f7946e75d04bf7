namespace K2Cluster.Faults.Runs;

/// <summary>What a scenario found.</summary>
internal sealed record FaultRow
{
    public required string Fault { get; init; }

    public required int Faults { get; init; }

    /// <summary>Requests that were under way when a fault came, of all faults.</summary>
    public required int InFlight { get; init; }

    public required int Requests { get; init; }

    public required int Failed { get; init; }

    /// <summary>Requests with other tokens or log-probabilities than undisturbed.</summary>
    public required int Differing { get; init; }

    /// <summary>The median of durations, less that of the same requests before the faults.</summary>
    public required TimeSpan AddedMedian { get; init; }

    /// <summary>The 99th percentile, likewise.</summary>
    public required TimeSpan Added99 { get; init; }

    /// <summary>The longest wait for a token, less the longest before the faults.</summary>
    public required TimeSpan AddedGap { get; init; }

    /// <summary>From a fault until every request under way had a second token: of each fault, in their order.</summary>
    public required IReadOnlyList<TimeSpan> Recoveries { get; init; }

    /// <summary>The first failure or difference, in words; null when there is none.</summary>
    public required string? Problem { get; init; }
}
