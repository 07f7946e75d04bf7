using K2Cluster.Client;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Protocol.V1;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>An operator moves experts of a running cluster about; who talks to it is told the same tokens.</summary>
public sealed class AdministrationTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task One_expert_moves_one_is_replicated_a_silo_drains_and_no_token_changes()
    {
        await using LocalCluster cluster = await LocalCluster.StartAsync(Programs.Nano, 3);
        Admin.AdminClient admin = new(cluster.Gateway.Grpc);
        GenerateRequest request = new() { Text = "What is", Options = new GenerationOptions { MaxTokens = 100, Temperature = 1, Seed = 5, IgnoreEos = true, ReturnTokenIds = true } };
        using K2Client client = new([cluster.Gateway.GrpcAddress]);
        uint[] expected = await TokensAsync();
        using CancellationTokenSource stop = new();
        Task<int> load = LoadAsync();

        ClusterStatus status = await admin.GetStatusAsync(new GetStatusRequest());
        Assert.Equal(["silo-0", "silo-1", "silo-2"], status.Shards.Select(shard => shard.Silo));
        Assert.Equal("", status.Incomplete);
        uint layer = status.FirstLayer;
        await Eventually.TrueAsync(Limit, async () => (await ServingAsync(layer, 0)).Length == 2); // there is room for second replicas
        string[] before = await ServingAsync(layer, 0);
        (string from, string other) = (before[0], before[1]);
        string to = status.Shards.Select(shard => shard.Id).Single(shard => !before.Contains(shard));

        await ChangeAsync(new PlacementChange { Move = new Move { Layer = layer, Expert = 0, From = from, To = to } });
        await WhenServingAsync(layer, 0, other, to);
        ChangeResponse replicated = await ChangeAsync(new PlacementChange { Replicate = new Replicate { Layer = layer, Expert = 0, To = { from } } });
        Assert.NotEqual(0u, replicated.Changed); // at the least this one: the loads of the moment may move others
        await WhenServingAsync(layer, 0, from, other, to);

        // As an operator does it.
        string silo = status.Shards.First(shard => shard.Id == to).Silo;
        await using ChildProcess drain = Programs.Cli("cluster", "drain", silo, "--url", cluster.Gateway.GrpcAddress.ToString());
        Assert.Equal(0, await drain.WaitForExitAsync(Limit));
        Assert.Contains($"{silo} holds nothing now", drain.Errors);
        await WhenServingAsync(layer, 0, from, other);
        ClusterPlan plan = await admin.GetPlanAsync(new GetPlanRequest());
        Assert.DoesNotContain(plan.Layers.SelectMany(item => item.Experts).SelectMany(expert => expert.Shards), shard => plan.Shards[(int)shard] == to);

        await ChangeAsync(new PlacementChange { Drop = new Drop { Layer = layer, Expert = 0, From = from } });
        await WhenServingAsync(layer, 0, other);
        Assert.Equal(0, await cluster.Silos[silo].StopAsync(Limit));

        await stop.CancelAsync();
        Assert.True(await load.WaitAsync(Limit) > 0);

        async Task<ChangeResponse> ChangeAsync(PlacementChange change) => await admin.ChangeAsync(new ChangeRequest { Changes = { change } });

        async Task<string[]> ServingAsync(uint layer, uint expert) => [.. (await admin.ExplainAsync(new ExplainRequest { Layer = layer, Expert = expert })).Serving];

        Task WhenServingAsync(uint layer, uint expert, params string[] shards) =>
            Eventually.TrueAsync(Limit, async () => (await ServingAsync(layer, expert)).Order().SequenceEqual(shards.Order()));

        async Task<uint[]> TokensAsync()
        {
            List<uint> tokens = [];
            await foreach (GenerateEvent item in client.GenerateAsync(request))
                tokens.AddRange(item.TokenIds);
            return [.. tokens];
        }

        async Task<int> LoadAsync()
        {
            int answers = 0;
            for (; !stop.IsCancellationRequested; answers++)
                Assert.Equal(expected, await TokensAsync());
            return answers;
        }
    }
}
