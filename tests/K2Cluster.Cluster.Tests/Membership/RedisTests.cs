using System.Diagnostics;
using K2Cluster.Cluster.Operators;
using K2Cluster.Cluster.Plans;
using K2Cluster.Cluster.Tests.InProcess;
using K2Cluster.Kernels.Experts;
using K2Cluster.Tests;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;
using Xunit.Abstractions;

namespace K2Cluster.Cluster.Tests.Membership;

public class RedisTests(ITestOutputHelper output)
{
    [ServerFact("redis-server")]
    public async Task Members_find_each_other_over_Redis_and_go_on_while_it_does_not_answer()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        Ends ends = new();
        using IHost silo = Member($"{redis.Address},asyncTimeout=300,syncTimeout=300", "silo", hostsShards: true, ends);
        using IHost gateway = Member($"{redis.Address},asyncTimeout=300,syncTimeout=300", "gateway", hostsShards: false, ends);
        await StartAsync(silo, gateway);
        Run(gateway);
        await using (PlacementClient tool = await PlacementClient.ConnectAsync(Tool(redis.Address, "redis"), CancellationToken.None))
            Assert.Equal("silo", Assert.Single((await tool.Grain.GetStatusAsync()).Shards).Shard.Id.Silo);
        ClusterException nobody = await Assert.ThrowsAsync<ClusterException>(() => PlacementClient.ConnectAsync(Tool(redis.Address, "other"), CancellationToken.None));
        Assert.StartsWith("No silo of cluster other is alive", nobody.Message);

        await redis.PauseAsync(true);
        IClusterMembershipService membership = gateway.Services.GetRequiredService<IClusterMembershipService>();
        for (int failed = 0; failed < 3; failed++)
            await Assert.ThrowsAnyAsync<Exception>(async () => await membership.Refresh());
        Run(gateway);
        await redis.PauseAsync(false);
        long start = Stopwatch.GetTimestamp();
        while (!await CanReadAsync(membership))
            Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 20, "The table cannot be read again.");
        Run(gateway);

        Assert.Empty(ends.Reasons);
        await gateway.StopAsync();
        await silo.StopAsync();
    }

    [ServerFact("redis-server")]
    public async Task Members_leave_when_Redis_comes_back_empty_and_those_that_start_then_are_a_whole_cluster()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        Ends siloEnds = new();
        Ends gatewayEnds = new();
        using IHost silo = Member(redis.Address, "silo", hostsShards: true, siloEnds);
        using IHost gateway = Member(redis.Address, "gateway", hostsShards: false, gatewayEnds);
        await StartAsync(silo, gateway);

        await redis.RestartEmptyAsync();
        long restarted = Stopwatch.GetTimestamp();
        foreach (Ends ends in new[] { siloEnds, gatewayEnds })
        {
            await Eventually.TrueAsync(() => !ends.Reasons.IsEmpty, "a member that leaves");
            Assert.Contains("Every process of the cluster leaves", Assert.IsType<ClusterException>(ends.Reasons.First()).Message);
        }

        long left = Stopwatch.GetTimestamp();
        await Task.WhenAll(gateway.StopAsync(), silo.StopAsync());
        output.WriteLine($"Both know after {Stopwatch.GetElapsedTime(restarted, left).TotalSeconds:0.0} s, stopped in {Stopwatch.GetElapsedTime(left).TotalSeconds:0.0} s");

        Ends none = new();
        using IHost nextSilo = Member(redis.Address, "silo", hostsShards: true, none);
        using IHost nextGateway = Member(redis.Address, "gateway", hostsShards: false, none);
        await StartAsync(nextSilo, nextGateway);
        Run(nextGateway);
        Assert.Empty(none.Reasons);
        await nextGateway.StopAsync();
        await nextSilo.StopAsync();
    }

    [Fact]
    public async Task Without_Redis_the_start_fails_with_one_message_that_says_where_and_what_to_do()
    {
        string address = $"127.0.0.1:{FreePort.Next()}";
        using IHost silo = Member($"{address},password=secret", "silo", hostsShards: true, new Ends());

        Exception error = await Assert.ThrowsAnyAsync<Exception>(() => silo.StartAsync());

        for (; error is not ClusterException; error = error.InnerException!)
            Assert.NotNull(error.InnerException);
        Assert.Contains($"Redis at {address} does not answer", error.Message);
        Assert.DoesNotContain("secret", error.Message);
    }

    private static async Task StartAsync(IHost silo, IHost gateway)
    {
        await Task.WhenAll(silo.StartAsync(), gateway.StartAsync());
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        await gateway.Services.GetRequiredService<IPlanSource>().WaitForCompleteAsync(limit.Token);
    }

    private static async Task<bool> CanReadAsync(IClusterMembershipService membership)
    {
        Task read = membership.Refresh().AsTask();
        await read.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return read.IsCompletedSuccessfully;
    }

    private static void Run(IHost gateway)
    {
        IExperts experts = gateway.Services.GetRequiredService<IExperts>();
        ExpertBatch batch = Batches.Random(HostedMember.Grid, 8, 4, 1);
        experts.Collect(experts.Submit(batch));
        Batches.AssertDone(batch);
    }

    private static ClusterOptions Tool(string redis, string cluster) => new() { Mode = ClusterMode.Redis, ClusterId = cluster, SiloName = "tool", HostsShards = false, Redis = redis };

    /// <summary>One that reads the table more often than ours do, for the tests' time.</summary>
    private static IHost Member(string redis, string name, bool hostsShards, Ends ends) => HostedMember.Build(
        new ClusterOptions { Mode = ClusterMode.Redis, ClusterId = "redis", SiloName = name, HostsShards = hostsShards, Redis = redis },
        gateway: !hostsShards,
        configure: builder =>
        {
            builder.Services.AddSingleton<IFatalErrorHandler>(ends);
            builder.Services.PostConfigure<ClusterMembershipOptions>(membership => membership.TableRefreshTimeout = TimeSpan.FromMilliseconds(500));
        });
}
