using System.Diagnostics;
using System.Globalization;
using K2Cluster.Kernels.Compute;

namespace K2Cluster.Benchmarks;

/// <summary>
/// The kernels' benchmarks by the clock, kernel and read ceiling in turn, the best of many short calls: on a shared machine the
/// best is what the kernel can do, and the rest is company.
/// </summary>
internal static class ClockTable
{
    private const int Rounds = 30;

    public static void Print()
    {
        Console.WriteLine("| kernel | path | threads | rows | µs | GB/s of weights | read ceiling, GB/s | GFLOP/s |");
        Console.WriteLine("|---|---|--:|--:|--:|--:|--:|--:|");
        foreach (CpuPath path in Enum.GetValues<CpuPath>().Where(path => path != CpuPath.Portable && CpuPaths.IsSupported(path)).Reverse())
        {
            foreach (int threads in new[] { Environment.ProcessorCount, 1 })
            {
                foreach (int rows in new[] { 1, 2, 4, 8, 16, 64 })
                {
                    Int4("8 INT4 experts 2048/768", new() { Tokens = rows, Path = path, Threads = threads, HiddenSize = 2048, IntermediateSize = 768, Experts = 64, ExpertsPerCall = 8 });
                    Int4("INT4 expert 7168/2048", new() { Tokens = rows, Path = path, Threads = threads });
                    Bf16MatrixBenchmarks matrix = new() { Tokens = rows, Path = path, Threads = threads };
                    matrix.Setup();
                    PrintRow("BF16 2048 × 7168", path, threads, rows, Bf16MatrixBenchmarks.CallBytes, Bf16MatrixBenchmarks.CallBytes * rows, matrix.Ceiling, matrix.Multiply);
                    matrix.Cleanup();
                }
            }
        }
    }

    private static void Int4(string name, Int4ExpertBenchmarks expert)
    {
        expert.Setup();
        double operations = 2.0 * 3 * expert.HiddenSize * expert.IntermediateSize * expert.ExpertsPerCall * expert.Tokens;
        PrintRow(name, expert.Path, expert.Threads, expert.Tokens, expert.CallBytes, operations, expert.Ceiling, expert.Forward);
        expert.Cleanup();
    }

    private static void PrintRow(string name, CpuPath path, int threads, int rows, long bytes, double operations, Action ceiling, Action kernel)
    {
        double read = double.MaxValue, time = double.MaxValue;
        for (int i = 0; i < Rounds; i++)
        {
            read = Math.Min(read, Nanoseconds(ceiling));
            time = Math.Min(time, Nanoseconds(kernel));
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {path} | {threads} | {rows} | {time / 1000:F0} | {bytes / time:F1} | {bytes / read:F1} | {operations / time:F0} |"));
    }

    private static double Nanoseconds(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalNanoseconds;
    }
}
