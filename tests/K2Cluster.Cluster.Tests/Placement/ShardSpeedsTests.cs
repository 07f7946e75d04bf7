using K2Cluster.Contracts;
using K2Cluster.Grains.Placement;

namespace K2Cluster.Cluster.Tests.Placement;

public class ShardSpeedsTests
{
    private readonly ShardSpeeds _speeds = new();

    [Fact]
    public void A_speed_that_wavers_stays_and_one_that_changes_is_taken_up()
    {
        Assert.Equal([100], _speeds.Of([Shard(0, 100)]));
        Assert.Equal([100], _speeds.Of([Shard(0, 120)]));
        Assert.Equal([100], _speeds.Of([Shard(0, 85)]));
        Assert.Equal([130], _speeds.Of([Shard(0, 130)]));
        Assert.Equal([60], _speeds.Of([Shard(0, 60)]));
        Assert.Equal([60], _speeds.Of([Shard(0, 0)]));
    }

    [Fact]
    public void Who_has_measured_nothing_is_as_the_median_of_its_kind_then_of_its_like()
    {
        Assert.Equal([100, 300, 200, 200, 200], _speeds.Of([Shard(0, 100), Shard(1, 300), Shard(2, 0), Shard(3, 200), Shard(4, 0, kind: "cpu-int8")]));
    }

    [Fact]
    public void Shards_of_a_kind_that_are_about_as_fast_are_taken_as_alike()
    {
        Assert.Equal([110, 110, 110, 300], _speeds.Of([Shard(0, 100), Shard(1, 110), Shard(2, 80), Shard(3, 300)]));
    }

    [Fact]
    public void A_device_of_its_own_is_taken_to_be_much_faster_than_a_host_until_one_was_measured()
    {
        Assert.Equal([50, 1], _speeds.Of([Gpu(0, 0), Shard(1, 0)]));
        Assert.Equal([1000, 20], _speeds.Of([Gpu(0, 1000), Shard(1, 0)]));
        Assert.Equal([1000, 900], _speeds.Of([Gpu(0, 1000), Shard(1, 900)]));
    }

    [Fact]
    public void A_life_has_its_own_speed()
    {
        Assert.Equal([100, 40], _speeds.Of([Shard(0, 100), Shard(1, 40)]));
        ShardReport again = Shard(0, 0);
        Assert.Equal([40, 40], _speeds.Of([again with { Shard = again.Shard with { Incarnation = 2 } }, Shard(1, 40)]));
    }

    private static ShardReport Gpu(int slot, double rowsPerSecond) => Shard(slot, rowsPerSecond, "sm_90") with { UsesHostThreads = false };

    private static ShardReport Shard(int slot, double rowsPerSecond, string kind = "cpu") => new()
    {
        Shard = new PlannedShard(new ShardId("m", "s", slot), 1, kind, "int4-g32"),
        WeightsBudget = 100,
        ExpertBytes = 1,
        Held = [],
        Loading = 0,
        RowsPerSecond = rowsPerSecond,
        UsesHostThreads = true,
    };
}
