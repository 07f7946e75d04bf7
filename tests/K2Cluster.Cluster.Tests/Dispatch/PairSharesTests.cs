using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Dispatch;

public sealed class PairSharesTests
{
    private static readonly ExpertGrid Grid = new(1, 2, 64);
    private readonly FakeTimeProvider _time = new();
    private readonly MadeUpChannels _shards = new(Grid);
    private readonly PairShares _shares = new();

    [Fact]
    public void All_shards_have_about_as_much_to_do_and_an_expert_is_read_by_one_of_them()
    {
        Random random = new(1);
        BatchRoutes routes = Routes(8, expert => [expert % 8, (expert + 1 + (expert % 7)) % 8]);
        for (int round = 0; round < 20; round++)
        {
            int[] pairs = [.. Enumerable.Range(0, 64).Select(_ => random.Next(15))];
            Dictionary<(int Expert, int Shard), int> given = Share(routes, pairs, layer: 2);

            Assert.All(given.Keys, key => Assert.Contains(key.Shard, routes.Table!.Plan.ReplicasOf(64 + key.Expert).ToArray()));
            Assert.Equal(pairs.Count(count => count > 0), given.Count);
            double[] work = [.. Enumerable.Range(0, 8).Select(shard => given.Where(part => part.Key.Shard == shard).Sum(part => part.Value + 8.0))];
            Assert.InRange(work.Max() / work.Average(), 1, 1.15);
        }
    }

    [Fact]
    public void An_expert_that_is_more_than_a_shards_part_is_shared_out()
    {
        BatchRoutes routes = Routes(4, expert => expert == 0 ? [0, 1, 2] : [3]);
        int[] pairs = new int[64];
        (pairs[0], pairs[1]) = (300, 60);
        Dictionary<(int Expert, int Shard), int> given = Share(routes, pairs, layer: 1);

        Assert.Equal(60, given[(1, 3)]);
        Assert.Equal(300, Enumerable.Range(0, 3).Sum(shard => given[(0, shard)]));
        Assert.All(Enumerable.Range(0, 3), shard => Assert.InRange(given[(0, shard)], 80, 140));

        routes = Routes(4, expert => expert == 0 ? [0, 1] : [2, 3]); // more than all that two replicas should have
        given = Share(routes, pairs, layer: 1);
        Assert.Equal(300, given[(0, 0)] + given[(0, 1)]);
        Assert.InRange(given[(0, 0)], 140, 160);

        pairs[0] = 31; // half of it would not be worth a second read
        Assert.Equal(31, Share(routes, pairs, layer: 1)[(0, 0)]);
    }

    [Fact]
    public void A_shard_gets_work_by_its_speed_and_by_what_it_has_to_do_already()
    {
        BatchRoutes routes = Routes(2, _ => [0, 1], speeds: [3, 1]);
        int[] pairs = [.. Enumerable.Repeat(4, 64)];
        Assert.Equal(48 * 4, ByShard(Share(routes, pairs, layer: 1))[0]);

        _shards[0].PairsInFlight = 10 * 12;
        routes = Routes(2, _ => [0, 1]);
        Assert.Equal(27 * 4, ByShard(Share(routes, pairs, layer: 1))[0]);
    }

    [Fact]
    public void Pairs_that_nobody_has_are_nobodys_and_the_others_go_their_way()
    {
        BatchRoutes routes = Routes(1, expert => expert == 5 ? [] : [0]);
        int[] pairs = new int[64];
        (pairs[5], pairs[6]) = (2, 3);

        Assert.Equal(new() { [(5, -1)] = 2, [(6, 0)] = 3 }, Share(routes, pairs, layer: 1));
    }

    private static Dictionary<int, int> ByShard(Dictionary<(int Expert, int Shard), int> given) =>
        given.GroupBy(part => part.Key.Shard).ToDictionary(parts => parts.Key, parts => parts.Sum(part => part.Value));

    private BatchRoutes Routes(int shards, Func<int, int[]> replicas, float[]? speeds = null)
    {
        _shards.Publish(shards, replicas, speeds: speeds);
        BatchRoutes routes = new(new ExpertFaults(_time), _time);
        routes.Use(new RouteTable(_shards.Board.Current!, [.. Enumerable.Range(0, shards).Select(slot => _shards[slot])], [.. Enumerable.Range(0, shards).Select(_ => new ShardPace(_time))], null, _time), []);
        return routes;
    }

    /// <summary>How many pairs of each expert of a layer each shard was given; the pairs come by turns, as rows bring them.</summary>
    private Dictionary<(int Expert, int Shard), int> Share(BatchRoutes routes, int[] pairs, int layer)
    {
        List<int> experts = [.. Enumerable.Range(0, pairs.Max()).SelectMany(turn => Enumerable.Range(0, pairs.Length).Where(expert => pairs[expert] > turn))];
        _shares.Begin(routes);
        foreach (int expert in experts)
            _shares.Count(expert);
        _shares.Share(Grid.Index(layer, 0));
        return experts.Select(expert => (Expert: expert, Shard: _shares.Take(expert))).GroupBy(part => part).ToDictionary(parts => parts.Key, parts => parts.Count());
    }
}
