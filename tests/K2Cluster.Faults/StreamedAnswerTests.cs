using System.Diagnostics;
using Grpc.Core;
using K2Cluster.Faults.Traffic;

namespace K2Cluster.Faults;

public class StreamedAnswerTests
{
    /// <param name="tokens">When they came, in milliseconds; the fault came at 100.</param>
    /// <param name="recovered">When the wait was over, since the fault; -1 where the request was not under way.</param>
    [Theory]
    [InlineData(new[] { 10, 20, 140, 150, 160 }, 40)]
    [InlineData(new[] { 90, 103, 104, 8100, 8110 }, 8000)] // on their way already
    [InlineData(new[] { 90, 110, 120, 130, 145, 9000 }, 45)] // what comes later has another cause
    [InlineData(new[] { 120 }, 20)]
    [InlineData(new[] { 10, 20 }, -1)]
    [InlineData(new int[0], -1)]
    public void A_request_has_recovered_at_the_end_of_the_wait_that_followed_the_fault(int[] tokens, int recovered)
    {
        StreamedAnswer answer = new(null, StatusCode.OK, "", 0, [.. tokens.Select(Ticks)]);
        Assert.Equal(recovered, answer.GoesOnAfter(Ticks(100)) is { } time ? (int)Math.Round(time.TotalMilliseconds) : -1);
        Assert.Null((answer with { Started = Ticks(101) }).GoesOnAfter(Ticks(100)));
    }

    private static long Ticks(int milliseconds) => milliseconds * Stopwatch.Frequency / 1000;
}
