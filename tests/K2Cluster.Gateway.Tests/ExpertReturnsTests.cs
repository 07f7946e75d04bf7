using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;
using K2Cluster.Gateway.Loading;

namespace K2Cluster.Gateway.Tests;

public class ExpertReturnsTests
{
    [Theory]
    [InlineData("a b", "a b", 0)]
    [InlineData("a b", "a b c", 1)]
    [InlineData("a b", "a", 1)]
    [InlineData("a b", "!a", 0)]
    [InlineData("!a", "!a", 0)]
    [InlineData("!a", "a", 1)]
    public async Task What_waits_is_told_of_a_whole_plan_after_one_that_was_not_or_had_other_shards(string before, string after, int told)
    {
        MadeUpPlans plans = new(Plan(1, before), Plan(2, after));
        int returns = 0;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ExpertReturns.WatchAsync(plans, () => returns++, CancellationToken.None));
        Assert.Equal(told, returns);
    }

    /// <param name="number">Of its epoch.</param>
    /// <param name="shards">Their silos; after an exclamation mark, of a plan that lacks an expert.</param>
    private static PlacementPlan Plan(int number, string shards) => new()
    {
        Epoch = new Epoch(1, number),
        Grid = new ExpertGrid(0, 1, 1),
        Shards = [.. shards.TrimStart('!').Split(' ').Select(silo => new PlannedShard(new ShardId("cluster", silo, 0), 1, "cpu", "int4"))],
        ReplicaStarts = [0, 0],
        ReplicaShards = [],
        Incomplete = shards.StartsWith('!') ? "an expert is missing" : null,
    };

    /// <summary>Has one plan after the other, then ends the wait for the next.</summary>
    private sealed class MadeUpPlans(params PlacementPlan[] plans) : IPlanSource
    {
        private int _next;

        public PlacementPlan? Current { get; private set; }

        public string? NotReadyReason => null;

        public string? PublicNotReadyReason => null;

        public Task WaitForNewerAsync(Epoch known, CancellationToken cancellationToken)
        {
            Assert.Equal(Current?.Epoch ?? Epoch.None, known);
            if (_next == plans.Length)
                return Task.FromCanceled(new CancellationToken(canceled: true));
            Current = plans[_next++];
            return Task.CompletedTask;
        }

        public Task WaitForCompleteAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
