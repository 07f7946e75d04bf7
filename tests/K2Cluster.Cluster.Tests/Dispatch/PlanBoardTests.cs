using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Tests.Dispatch;

public class PlanBoardTests
{
    private readonly PlanBoard _board = new();
    private long _counter;

    [Fact]
    public async Task Is_ready_first_when_complete_and_then_also_while_lost_experts_are_loaded_again()
    {
        Assert.Equal("waiting for a placement plan", _board.NotReadyReason);
        _board.SetProblem("no silo is alive");
        Assert.Equal("no silo is alive", _board.NotReadyReason);
        Publish("half is missing", isFilling: true);
        Assert.Equal("half is missing", _board.NotReadyReason);

        Task complete = _board.WaitForCompleteAsync(CancellationToken.None);
        Assert.False(complete.IsCompleted);
        Publish(null);
        await complete.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Null(_board.NotReadyReason);

        Publish("half is missing", isFilling: true);
        Assert.Null(_board.NotReadyReason);
        Publish("half fits nowhere");
        Assert.Equal("half fits nowhere", _board.NotReadyReason);
        Publish(null);
        _board.SetGone("nobody is left");
        Assert.Equal("nobody is left", _board.NotReadyReason);
    }

    [Fact]
    public void Clients_are_told_why_without_names()
    {
        _board.SetProblem("no silo of cluster m is alive");
        Assert.Equal("no silo has said yet which experts it has", _board.PublicNotReadyReason);
        Publish("4 are on no shard; shard m/s/0: disk on fire");
        Assert.Equal("experts are missing: the operator must start another silo", _board.PublicNotReadyReason);
        _board.Publish(Plan("4 are on no shard; shard m/s/0: disk on fire", false) with { PublicIncomplete = "4 are on no shard" });
        Assert.Equal("4 are on no shard", _board.PublicNotReadyReason);
        _board.SetGone("silo s is gone");
        Assert.Equal("every silo is gone: the operator must start one", _board.PublicNotReadyReason);
        _board.SetGone(null);
        Publish(null);
        Publish("half is missing", isFilling: true);
        Assert.Null(_board.PublicNotReadyReason);
    }

    [Fact]
    public async Task An_older_plan_never_replaces_a_newer_one()
    {
        Publish(null);
        PlacementPlan newest = _board.Current!;
        _board.Publish(newest with { Epoch = new Epoch(0, 9) });
        Assert.Same(newest, _board.Current);

        Task newer = _board.WaitForNewerAsync(newest.Epoch, CancellationToken.None);
        Assert.False(newer.IsCompleted);
        Publish(null);
        await newer.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void A_plan_that_contradicts_itself_is_refused()
    {
        PlacementPlan good = Plan(null, false);
        foreach (PlacementPlan bad in new[]
        {
            good with { ReplicaStarts = [0, 1] },
            good with { ReplicaStarts = [0, 2, 1, 2, 2] },
            good with { ReplicaStarts = [0, 0, 0, 0, 3] },
            good with { ReplicaShards = [0, 0, 0, 1] },
            good with { ReplicaShards = [0, 0, 0, -1] },
            good with { Grid = new ExpertGrid(0, int.MaxValue, int.MaxValue) },
            good with { Shards = default },
            good with { Speeds = [1, 1] },
            good with { Speeds = [0] },
            good with { Speeds = [float.NaN] },
            good with { Speeds = [float.PositiveInfinity] },
        })
            Assert.Throws<ArgumentException>(() => _board.Publish(bad));
    }

    private void Publish(string? incomplete, bool isFilling = false) => _board.Publish(Plan(incomplete, isFilling));

    private PlacementPlan Plan(string? incomplete, bool isFilling) => new()
    {
        Epoch = new Epoch(1, ++_counter),
        Grid = new ExpertGrid(1, 2, 2),
        Shards = [new PlannedShard(new ShardId("m", "s", 0), 1, "cpu", "bf16")],
        ReplicaStarts = [0, 1, 2, 3, 4],
        ReplicaShards = [0, 0, 0, 0],
        Incomplete = incomplete,
        IsFilling = isFilling,
    };
}
