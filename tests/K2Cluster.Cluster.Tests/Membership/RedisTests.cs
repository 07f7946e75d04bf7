using K2Cluster.Cluster.Plans;
using K2Cluster.Cluster.Tests.InProcess;
using K2Cluster.Kernels.Experts;
using K2Cluster.Tests;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace K2Cluster.Cluster.Tests.Membership;

public class RedisTests
{
    [ServerFact("redis-server")]
    public async Task Members_find_each_other_over_Redis()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        using IHost silo = Member(redis.Address, "silo", hostsShards: true);
        using IHost gateway = Member(redis.Address, "gateway", hostsShards: false);
        await Task.WhenAll(silo.StartAsync(), gateway.StartAsync());
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        await gateway.Services.GetRequiredService<IPlanSource>().WaitForCompleteAsync(limit.Token);

        IExperts experts = gateway.Services.GetRequiredService<IExperts>();
        ExpertBatch batch = Batches.Random(HostedMember.Grid, 8, 4, 1);
        experts.Collect(experts.Submit(batch));
        Batches.AssertDone(batch);
        await gateway.StopAsync();
        await silo.StopAsync();
    }

    [Fact]
    public async Task Without_Redis_the_start_fails_with_one_message_that_says_where_and_what_to_do()
    {
        string address = $"127.0.0.1:{FreePort.Next()}";
        using IHost silo = Member($"{address},password=secret", "silo", hostsShards: true);

        Exception error = await Assert.ThrowsAnyAsync<Exception>(() => silo.StartAsync());

        for (; error is not ClusterException; error = error.InnerException!)
            Assert.NotNull(error.InnerException);
        Assert.Contains($"Redis at {address} does not answer", error.Message);
        Assert.DoesNotContain("secret", error.Message);
    }

    private static IHost Member(string redis, string name, bool hostsShards) => HostedMember.Build(
        new ClusterOptions { Mode = ClusterMode.Redis, ClusterId = "redis", SiloName = name, HostsShards = hostsShards, Redis = redis }, gateway: !hostsShards);
}
