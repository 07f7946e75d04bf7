using System.Diagnostics;

namespace K2Cluster.Fabric.Tests;

/// <summary>Waits for what other threads do, up to a deadline.</summary>
internal static class Eventually
{
    public static async Task TrueAsync(Func<bool> condition, string what, int seconds = 20)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start).TotalSeconds > seconds)
                Assert.Fail($"Not within {seconds} s: {what}");
            await Task.Delay(5);
        }
    }
}
