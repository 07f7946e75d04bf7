using K2Cluster.Cluster.Dispatch;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Dispatch;

public sealed class ShardPaceTests
{
    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(1);
    private readonly FakeTimeProvider _time = new();
    private readonly ShardPace _pace;

    public ShardPaceTests() => _pace = new ShardPace(_time);

    [Fact]
    public void Nothing_is_late_before_something_was_answered()
    {
        Assert.Null(_pace.LateAfter(8, Shortest));
        for (int i = 0; i < 7; i++)
            Answer(8, 10);
        Assert.Null(_pace.LateAfter(8, Shortest));
    }

    [Fact]
    public void A_size_that_was_not_answered_yet_goes_by_the_nearest_that_was()
    {
        for (int i = 0; i < 60; i++)
            Answer(8, 10);
        double known = Milliseconds(8);
        Assert.InRange(known, 10, 11);
        Assert.Equal(known, Milliseconds(15)); // sizes go by powers of two
        Assert.Equal(known, Milliseconds(1), 0.01); // a larger one takes no less
        Assert.Equal(known * 4, Milliseconds(32), 0.01);
        for (int i = 0; i < 60; i++)
            Answer(64, 30);
        Assert.Equal(Milliseconds(64), Milliseconds(32));
        Assert.Equal(known * 2, Milliseconds(16), 0.01);
    }

    [Fact]
    public void Nothing_is_late_sooner_than_the_shortest()
    {
        for (int i = 0; i < 8; i++)
            Answer(1, 0.01);
        Assert.Equal(20, _pace.LateAfter(1, TimeSpan.FromMilliseconds(20))!.Value * 1000.0 / _time.TimestampFrequency, 0.01);
    }

    private void Answer(int pairs, double milliseconds) => _pace.Answered(pairs, (long)(milliseconds * _time.TimestampFrequency / 1000));

    private double Milliseconds(int pairs) => _pace.LateAfter(pairs, Shortest)!.Value * 1000.0 / _time.TimestampFrequency;
}
