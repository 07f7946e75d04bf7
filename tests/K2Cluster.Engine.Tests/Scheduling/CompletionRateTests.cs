using K2Cluster.Engine.Scheduling;

namespace K2Cluster.Engine.Tests.Scheduling;

public sealed class CompletionRateTests
{
    private static TimeSpan Seconds(double value) => TimeSpan.FromSeconds(value);

    [Fact]
    public void The_estimate_is_the_mean_time_between_recent_ends()
    {
        CompletionRate rate = new();
        for (int i = 1; i <= 100; i++)
            rate.Add(1, Seconds(i * 2));
        Assert.Equal(Seconds(2), rate.TimeToNext(Seconds(200)));
        for (int i = 1; i <= 100; i++)
            rate.Add(1, Seconds(200 + (i * 0.5)));
        Assert.Equal(Seconds(0.5), rate.TimeToNext(Seconds(250)));
        Assert.Equal(Seconds(3), rate.TimeToNext(Seconds(250), count: 6));
        Assert.Equal(Seconds(60), rate.TimeToNext(Seconds(250), count: 600));
    }

    [Fact]
    public void It_grows_while_nothing_ends()
    {
        CompletionRate rate = new();
        Assert.Equal(Seconds(20), rate.TimeToNext(Seconds(20)));
        rate.Add(2, Seconds(20));
        Assert.Equal(Seconds(10), rate.TimeToNext(Seconds(20)));
        Assert.Equal(Seconds(20), rate.TimeToNext(Seconds(40)));
        Assert.Equal(Seconds(60), rate.TimeToNext(Seconds(4000)));
    }

    [Fact]
    public void Idle_time_does_not_count()
    {
        CompletionRate rate = new();
        rate.Idle(Seconds(0), Seconds(1000));
        for (int i = 1; i <= 10; i++)
            rate.Add(1, Seconds(1000 + i));
        rate.Idle(Seconds(1010), Seconds(5000));
        Assert.Equal(Seconds(1), rate.TimeToNext(Seconds(5000)));
        Assert.Equal(Seconds(0.1), new CompletionRate().TimeToNext(TimeSpan.Zero));
    }
}
