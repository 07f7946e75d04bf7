using System.Globalization;
using K2Cluster.Kernels.Compute;

namespace K2Cluster.Benchmarks;

/// <summary>
/// The kernels' benchmarks by processor time of one thread instead of the clock, kernel and read ceiling in turn: figures that
/// mean something on a machine whose cores are shared.
/// </summary>
internal static class CpuTimeTable
{
    private const int Rounds = 15;

    public static void Print()
    {
        Console.WriteLine("| kernel | path | rows | ms | ms a row | read ceiling, ms | ratio to ceiling (min..max) |");
        Console.WriteLine("|---|---|--:|--:|--:|--:|--:|");
        foreach (CpuPath path in Enum.GetValues<CpuPath>().Where(path => path != CpuPath.Portable && CpuPaths.IsSupported(path)))
        {
            foreach (int rows in new[] { 1, 8, 32 })
            {
                Int4ExpertBenchmarks expert = new() { Tokens = rows, Path = path, Threads = 1 };
                expert.Setup();
                PrintRow("INT4 expert 7168/2048", path, rows, expert.Ceiling, expert.Forward);
                expert.Cleanup();
            }

            foreach (int rows in new[] { 1, 32 })
            {
                Bf16MatrixBenchmarks matrix = new() { Tokens = rows, Path = path, Threads = 1 };
                matrix.Setup();
                PrintRow("BF16 2048 × 7168", path, rows, matrix.Ceiling, matrix.Multiply);
                matrix.Cleanup();
            }
        }
    }

    private static void PrintRow(string name, CpuPath path, int rows, Action ceiling, Action kernel)
    {
        double[] ceilings = new double[Rounds], kernels = new double[Rounds], ratios = new double[Rounds];
        Milliseconds(ceiling);
        Milliseconds(kernel);
        for (int i = 0; i < Rounds; i++)
        {
            ceilings[i] = Milliseconds(ceiling);
            kernels[i] = Milliseconds(kernel);
            ratios[i] = kernels[i] / ceilings[i];
        }

        foreach (double[] times in new[] { ceilings, kernels, ratios })
            Array.Sort(times);
        double median = kernels[Rounds / 2];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {path} | {rows} | {median:F2} | {median / rows:F2} | {ceilings[Rounds / 2]:F2} | {ratios[Rounds / 2]:F2} ({ratios[0]:F2}..{ratios[^1]:F2}) |"));
    }

    /// <summary>Processor time of one of four calls.</summary>
    private static double Milliseconds(Action action)
    {
        const int Calls = 4;
        TimeSpan before = Environment.CpuUsage.TotalTime;
        for (int i = 0; i < Calls; i++)
            action();
        return (Environment.CpuUsage.TotalTime - before).TotalMilliseconds / Calls;
    }
}
