using K2Cluster.GpuCheck.Reports;
using ManagedCuda;

namespace K2Cluster.GpuCheck.Measures;

/// <summary>Times work of a stream by events. All rounds are asked for before the first is looked at, so the card never waits for the host.</summary>
internal static class StreamTimer
{
    private const int Warmups = 2;

    /// <param name="stream">The stream.</param>
    /// <param name="rounds">How often.</param>
    /// <param name="parts">Things of the same kind that a round does: times are of one.</param>
    /// <param name="launch">Asks for a round, given its number.</param>
    public static Times Measure(CudaStream stream, int rounds, int parts, Action<int> launch)
    {
        CudaEvent[] marks = new CudaEvent[rounds + 1];
        try
        {
            for (int i = 0; i < marks.Length; i++)
                marks[i] = new CudaEvent();
            for (int i = 0; i < Warmups; i++)
                launch(i);
            marks[0].Record(stream.Stream);
            for (int round = 0; round < rounds; round++)
            {
                launch(Warmups + round);
                marks[round + 1].Record(stream.Stream);
            }

            marks[rounds].Synchronize();
            double[] times = [.. Enumerable.Range(0, rounds).Select(round => CudaEvent.ElapsedTime(marks[round], marks[round + 1]) * 1000.0 / parts).Order()];
            return new Times(times[0], times[rounds / 2]);
        }
        finally
        {
            foreach (CudaEvent? mark in marks)
                mark?.Dispose();
        }
    }
}
