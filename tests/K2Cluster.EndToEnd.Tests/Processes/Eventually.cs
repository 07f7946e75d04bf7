namespace K2Cluster.EndToEnd.Tests.Processes;

/// <summary>Waits for what another process will do: asks again and again, a bounded time.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    /// <exception cref="TimeoutException">The condition did not come true; <paramref name="explain"/> says what was seen last.</exception>
    public static async Task TrueAsync(TimeSpan limit, Func<Task<bool>> condition, Func<string>? explain = null)
    {
        using CancellationTokenSource late = new(limit);
        using PeriodicTimer timer = new(Interval);
        try
        {
            while (!await condition())
                await timer.WaitForNextTickAsync(late.Token);
        }
        catch (OperationCanceledException) when (late.IsCancellationRequested)
        {
            throw new TimeoutException(explain?.Invoke() ?? $"The condition did not come true in {limit.TotalSeconds} s.");
        }
    }
}
