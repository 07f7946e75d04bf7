namespace K2Cluster.Cluster.Dispatch;

/// <summary>How the dispatcher deals with shards that do not answer.</summary>
public sealed record DispatchOptions
{
    /// <summary>Batches in flight at once, at least 2. Default 4.</summary>
    public int MaxInFlight { get; init; } = 4;

    /// <summary>
    /// How long, from the first failed call of a batch, its missing rows are tried again before they leave the step as
    /// Unavailable (the engine replays them). Longer holds the batch's good rows back; default 2 s, a few times what a dead
    /// silo of the same machine takes to be noticed.
    /// </summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long one call may take, queueing included, before it counts as failed. Default 30 s: a large frame on a slow device is not a dead one.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Wait before the first retry, unless a new plan comes earlier; doubled each time up to <see cref="LongestBackoff"/>. Default 5 ms.</summary>
    public TimeSpan FirstBackoff { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>Default 200 ms.</summary>
    public TimeSpan LongestBackoff { get; init; } = TimeSpan.FromMilliseconds(200);
}
