using K2Cluster.Grains.Shards;

namespace K2Cluster.Cluster.Tests.Shards;

public class ForwardPaceTests
{
    [Fact]
    public void A_device_is_as_fast_as_its_last_seconds_and_unknown_before_it_has_computed_for_long_enough()
    {
        ForwardPace pace = new();
        for (int i = 0; i < 10; i++)
            pace.Add(10, TimeSpan.FromSeconds(0.1));
        Assert.Equal(0, pace.RowsPerSecond);
        for (int i = 0; i < 100; i++)
            pace.Add(10, TimeSpan.FromSeconds(0.1));
        Assert.Equal(100, pace.RowsPerSecond, 6);

        for (int i = 0; i < 100; i++)
            pace.Add(1, TimeSpan.FromSeconds(0.1));
        Assert.InRange(pace.RowsPerSecond, 30, 65); // half of it is ten seconds old
        for (int i = 0; i < 1000; i++)
            pace.Add(1, TimeSpan.FromSeconds(0.1));
        Assert.Equal(10, pace.RowsPerSecond, 0.2);
    }
}
