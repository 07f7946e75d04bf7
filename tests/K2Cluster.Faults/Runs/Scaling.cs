using System.Diagnostics;
using System.Globalization;
using K2Cluster.Faults.Hosts;
using K2Cluster.Faults.Scenarios;
using K2Cluster.Faults.Traffic;

namespace K2Cluster.Faults.Runs;

/// <summary>Throughput by silos, of devices with a capped pace: what the cluster adds, where the machine's own cores could not show it.</summary>
internal static class Scaling
{
    public const string Head = """
        | silos | tokens/s | of linear |
        |--:|--:|--:|
        """;

    /// <summary>By then the placement has gone by what is asked for, once and again.</summary>
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(70);

    /// <summary>Measures 1, 2, 4 and 8 silos, and writes a line for each.</summary>
    /// <param name="options">Requests and tokens of each count of silos.</param>
    /// <param name="pairsPerSecond">What each silo's device computes at most, in (row, expert) pairs.</param>
    /// <param name="write">Is given the lines.</param>
    public static async Task RunAsync(RunOptions options, double pairsPerSecond, Action<string> write)
    {
        double one = 0;
        write(Head);
        foreach (int silos in new[] { 1, 2, 4, 8 })
        {
            double rate = await MeasureAsync(options, silos, pairsPerSecond);
            one = silos == 1 ? rate : one;
            write(string.Create(CultureInfo.InvariantCulture, $"| {silos} | {rate:0} | {rate / (one * silos):0.00} |"));
        }
    }

    private static async Task<double> MeasureAsync(RunOptions options, int silos, double pairsPerSecond)
    {
        await using Cluster cluster = new(options.Model, ["--cluster", "localhost"]);
        Gateway gateway = await SiloFaults.StartAsync(cluster, silos, _ => string.Create(CultureInfo.InvariantCulture, $"pairs-per-second={pairsPerSecond}"));
        long start = Stopwatch.GetTimestamp();
        do
            await RunAsync(gateway, options, options.AtOnce);
        while (Stopwatch.GetElapsedTime(start) < WarmUp);
        start = Stopwatch.GetTimestamp();
        int tokens = await RunAsync(gateway, options, options.Requests);
        return tokens / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static async Task<int> RunAsync(Gateway gateway, RunOptions options, int requests)
    {
        Load load = Load.Start(number => gateway.AskAsync(FaultRequest.Make(number, options.Tokens)), options.AtOnce, requests);
        IReadOnlyList<(int Number, StreamedAnswer Answer)> answers = await load.EndAsync();
        if (answers.Select(answer => answer.Answer.Error).FirstOrDefault(error => error is not null) is { } failed)
            throw new InvalidOperationException(failed);
        return answers.Sum(answer => answer.Answer.Tokens.Count);
    }
}
