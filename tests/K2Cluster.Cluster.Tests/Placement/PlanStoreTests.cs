using System.Text;
using K2Cluster.Cluster.Membership;
using K2Cluster.Cluster.Plans.Stores;
using K2Cluster.Cluster.Tests.Membership;
using K2Cluster.Tests;

namespace K2Cluster.Cluster.Tests.Placement;

public class PlanStoreTests
{
    [Fact]
    public Task Memory() => CheckAsync(new MemoryPlanStore());

    [Fact]
    public async Task A_file()
    {
        using TemporaryDirectory folder = new();
        string path = Path.Combine(folder.Path, "plan.json");
        await CheckAsync(new FilePlanStore(path));
        Assert.Equal("third", await File.ReadAllTextAsync(path));
        Assert.Equal("second", await File.ReadAllTextAsync($"{path}.unreadable"));

        await Assert.ThrowsAnyAsync<IOException>(() => new FilePlanStore(Path.Combine(folder.Path, "no", "plan.json")).WriteAsync(new byte[1], CancellationToken.None));
        await File.WriteAllBytesAsync(path, new byte[3 << 20]);
        Assert.Equal(IPlanStore.MostBytes + 1, (await new FilePlanStore(path).ReadAsync(CancellationToken.None))!.Length);
    }

    [ServerFact("redis-server")]
    public async Task Redis()
    {
        await using RedisServer server = await RedisServer.StartAsync();
        await using RedisConnection connection = new(server.Address);
        RedisPlanStore store = new(connection, "one");
        await CheckAsync(store);
        Assert.Null(await new RedisPlanStore(connection, "other").ReadAsync(CancellationToken.None));
        await store.WriteAsync(new byte[3 << 20], CancellationToken.None);
        Assert.Equal(IPlanStore.MostBytes + 1, (await store.ReadAsync(CancellationToken.None))!.Length);

        await server.RestartEmptyAsync();
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        while (true)
        {
            try
            {
                Assert.Null(await store.ReadAsync(limit.Token));
                return;
            }
            catch (Exception exception) when (exception is StackExchange.Redis.RedisException or TimeoutException)
            {
                // It reconnects by itself.
            }
        }
    }

    private static async Task CheckAsync(IPlanStore store)
    {
        Assert.Null(await store.ReadAsync(CancellationToken.None));
        foreach (string record in new[] { "first", "second" })
        {
            await store.WriteAsync(Encoding.UTF8.GetBytes(record), CancellationToken.None);
            Assert.Equal(record, Encoding.UTF8.GetString((await store.ReadAsync(CancellationToken.None))!));
        }

        Assert.NotEmpty(await store.SetAsideAsync(CancellationToken.None));
        Assert.Null(await store.ReadAsync(CancellationToken.None));
        await store.WriteAsync("third"u8.ToArray(), CancellationToken.None);
        Assert.Equal("third"u8.ToArray(), await store.ReadAsync(CancellationToken.None));
    }
}
