namespace K2Cluster.Hosting;

/// <summary>
/// What a part of the process does between the wish to stop and the stop itself, while all other parts still run: it takes
/// nothing new and finishes what it has. Parts register one each; <see cref="K2Program"/> calls all at once.
/// </summary>
public interface IDrain
{
    /// <summary>Ends when nothing is left to do, or with cancellation when the time for it is up: what is left then ends with the process.</summary>
    Task DrainAsync(CancellationToken timeIsUp);
}
