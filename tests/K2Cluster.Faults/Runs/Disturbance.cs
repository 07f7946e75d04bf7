using System.Diagnostics;
using K2Cluster.Faults.Traffic;

namespace K2Cluster.Faults.Runs;

/// <summary>What a scenario does to a cluster under load: each fault is noted when it comes.</summary>
internal sealed class Disturbance(Load load, RunOptions options)
{
    private readonly List<long> _times = [];

    public RunOptions Options => options;

    public Load Load => load;

    public IReadOnlyList<long> Times => _times;

    /// <summary>Requests under way at the faults.</summary>
    public int InFlight { get; private set; }

    /// <summary>Notes that a fault comes now.</summary>
    public void Note()
    {
        InFlight += load.Running;
        _times.Add(Stopwatch.GetTimestamp());
    }

    /// <summary>Again and again: a fault comes, lasts, is mended, and all that was under way ends.</summary>
    /// <param name="begin">Puts the fault of a number in.</param>
    /// <param name="end">Mends it.</param>
    public async Task RepeatAsync(Func<int, Task> begin, Func<int, Task> end)
    {
        for (int i = 0; i < options.Faults; i++)
        {
            Note();
            await begin(i);
            await WaitAsync();
            await end(i);
            await WaitForRoundAsync();
        }
    }

    /// <summary>Lets the load go on for the length of a fault.</summary>
    public Task WaitAsync() => Task.Delay(options.Length);

    /// <summary>Waits until so many requests are answered that each one that was under way is.</summary>
    public Task WaitForRoundAsync() => load.WaitForAsync(2 * options.AtOnce, TimeSpan.FromSeconds(60));
}
