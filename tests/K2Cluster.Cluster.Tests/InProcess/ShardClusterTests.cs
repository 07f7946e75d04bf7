using System.Diagnostics;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Grains;
using K2Cluster.Grains.Placement;
using K2Cluster.Grains.Shards;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.DependencyInjection;
using Xunit.Abstractions;

namespace K2Cluster.Cluster.Tests.InProcess;

public class ShardClusterTests(ITestOutputHelper output)
{
    [Fact]
    public async Task Shards_live_on_their_silos_and_the_silo_without_shards_gets_no_grain_of_ours()
    {
        await using ShardCluster cluster = await ShardCluster.StartAsync(shards: 3);
        await cluster.WhenEvenAsync(3);
        RunBatches(cluster.Experts, seeds: 10);

        for (int i = 0; i < 3; i++)
            Assert.Equal(1, await cluster.ActivationsAsync(ShardCluster.SiloName(i), typeof(ExpertShardGrain)));
        Assert.Equal(0, await cluster.ActivationsAsync(cluster.GatewayName, typeof(ExpertShardGrain)));
        Assert.Equal(0, await cluster.ActivationsAsync(cluster.GatewayName, typeof(PlacementGrain)));

        IGrainFactory grains = cluster.Gateway.GetRequiredService<IGrainFactory>();
        Exception error = await Assert.ThrowsAnyAsync<Exception>(async () => await Nowhere(grains, "Silo_9"));
        Assert.Contains("Silo_9", error.Message);
        await Assert.ThrowsAnyAsync<Exception>(async () => await Nowhere(grains, cluster.GatewayName));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public async Task When_a_silo_is_killed_its_experts_move_the_dispatcher_goes_on_and_it_may_come_back(int victim)
    {
        await using ShardCluster cluster = await ShardCluster.StartAsync(shards: 3);
        await cluster.WhenEvenAsync(3);
        using CancellationTokenSource stop = new();
        Task<int> running = Task.Run(() =>
        {
            int done = 0;
            for (int seed = 0; !stop.IsCancellationRequested; seed++)
                done += RunUntilDone(cluster.Experts, Batches.Random(ShardCluster.Grid, 6, 4, seed));
            return done;
        });

        string silo = ShardCluster.SiloName(victim);
        long start = Stopwatch.GetTimestamp();
        await cluster.KillAsync(silo);
        await cluster.WhenEvenAsync(2);
        output.WriteLine($"Even again {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s after the kill (probes find it here; no process dies)");
        Assert.DoesNotContain(cluster.Plans.Current!.Shards, shard => shard.Id.Silo == silo);
        RunBatches(cluster.Experts, seeds: 20);

        await stop.CancelAsync();
        Assert.True(await running > 0);
    }

    [Fact]
    public async Task What_an_operator_wishes_is_known_to_the_placement_that_follows_one_that_died()
    {
        await using ShardCluster cluster = await ShardCluster.StartAsync(shards: 3);
        await cluster.WhenEvenAsync(3);
        IPlacementGrain placement = cluster.Gateway.GetRequiredService<IGrainFactory>().GetGrain<IPlacementGrain>(ShardCluster.Model);
        string[] silos = [.. Enumerable.Range(0, 3).Select(ShardCluster.SiloName)];
        int[] placements = await Task.WhenAll(silos.Select(silo => cluster.ActivationsAsync(silo, typeof(PlacementGrain))));
        string victim = silos[Array.IndexOf(placements, 1)];
        string drained = silos.First(silo => silo != victim);

        PlacementRefusedException refused = await Assert.ThrowsAsync<PlacementRefusedException>(async () => await placement.ChangeAsync([new PlacementChange { Kind = PlacementChangeKind.Drain, Silo = "nobody" }], whatIf: false));
        Assert.Equal(PlacementRefusal.NotFound, refused.Refusal);
        Assert.Contains("Silo_0, Silo_1, Silo_2", refused.Message);
        PlacementOutcome outcome = await placement.ChangeAsync([new PlacementChange { Kind = PlacementChangeKind.Drain, Silo = drained }], whatIf: false);
        Assert.True(outcome.Drops >= 22, $"{outcome.Drops} drops"); // two thirds of 36, as every expert has two replicas; more if some are there still from the start
        Assert.InRange(outcome.Loads, 0, outcome.Drops);
        Assert.Empty(outcome.Notes);

        await cluster.KillAsync(victim);
        await Eventually.TrueAsync(
            () => cluster.Plans.Current is { Incomplete: null, Shards.Length: 2 } plan && plan.ReplicaShards.All(shard => plan.Shards[shard].Id.Silo != drained),
            "everything on the silo that is neither dead nor drained");
        Assert.Equal(drained, Assert.Single((await placement.GetStatusAsync()).Wishes.Drained));
    }

    [Fact]
    public async Task A_silo_is_ready_while_it_loads_replicas_of_what_others_own_and_not_while_it_loads_its_own()
    {
        await using ShardCluster cluster = await ShardCluster.StartAsync(shards: 2);
        await cluster.WhenEvenAsync(2);
        IPlacementGrain placement = cluster.Gateway.GetRequiredService<IGrainFactory>().GetGrain<IPlacementGrain>(ShardCluster.Model);
        string owner = (await placement.ExplainAsync(1, 0)).Planned.Single(replica => replica.IsOwner).Shard.Split('/')[1];
        foreach (string silo in new[] { "Silo_0", "Silo_1" })
        {
            ExpertShard shard = cluster.Services(silo).GetRequiredService<ShardSet>().All.Single();
            ShardStatus status = cluster.Services(silo).GetRequiredService<ShardStatus>();
            await Eventually.TrueAsync(() => status.NotReadyReason is null, "a silo that is ready");
            using ManualResetEventSlim gate = new();
            cluster.Devices[silo].BeforeLoad = _ => gate.Wait();
            Epoch future = new((await placement.GetStatusAsync()).Epoch.Generation + 1, 0);
            shard.Assign(new ShardAssignment(future, [], [0])); // somebody drops it; the placement wants it back
            await Eventually.TrueAsync(() => shard.Report.Loading == 1, "an expert to load");
            string? reason = status.NotReadyReason;
            gate.Set();
            await Eventually.TrueAsync(() => shard.Report.Loading == 0, "the expert loaded");

            Assert.Equal(silo == owner ? "loading experts, 35 of 36" : null, reason);
        }
    }

    [Fact]
    public async Task A_shard_that_cannot_load_is_seen_by_the_gateway_until_another_takes_over()
    {
        await using ShardCluster cluster = await ShardCluster.StartAsync(shards: 1);
        await cluster.WhenEvenAsync(1);
        ExpertShard shard = cluster.Services("Silo_0").GetRequiredService<ShardSet>().All.Single();
        cluster.Devices["Silo_0"].BeforeLoad = _ => throw new InvalidOperationException("disk on fire");
        PlacementPlan plan = cluster.Plans.Current!;
        Epoch future = new(plan.Epoch.Generation + 1, 0);
        shard.Assign(new ShardAssignment(future, [], [0, 1])); // somebody drops them; the placement wants them back

        await Eventually.TrueAsync(() => cluster.Plans.NotReadyReason?.Contains("disk on fire") == true, "the problem in readiness");
        Assert.Contains("shard test-model/Silo_0/0", cluster.Plans.NotReadyReason);
    }

    private static ValueTask<ShardReport> Nowhere(IGrainFactory grains, string silo) =>
        grains.GetGrain<IExpertShardGrain>(new ShardId(ShardCluster.Model, silo, 0).ToString()).AssignAsync(new ShardAssignment(default, [], []));

    private static void RunBatches(IExperts experts, int seeds)
    {
        for (int seed = 0; seed < seeds; seed++)
        {
            ExpertBatch batch = Batches.Random(ShardCluster.Grid, 8, 4, seed);
            experts.Collect(experts.Submit(batch));
            Batches.AssertDone(batch);
        }
    }

    /// <summary>As the engine does: rows that were not available are sent again, as a batch.</summary>
    private static int RunUntilDone(IExperts experts, ExpertBatch batch)
    {
        long start = Stopwatch.GetTimestamp();
        do
        {
            batch.Reset(batch.Layer, batch.Rows);
            experts.Collect(experts.Submit(batch));
            Assert.DoesNotContain(RowStatus.Failed, batch.Statuses.ToArray());
            Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 30);
        }
        while (batch.Statuses.Span.Contains(RowStatus.Unavailable));

        Batches.AssertDone(batch);
        return 1;
    }
}
