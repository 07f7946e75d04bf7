using K2Cluster.Grains.Placement;

namespace K2Cluster.Cluster.Tests.Placement;

public class ExpertSplitTests
{
    [Theory]
    [InlineData(4, 12, new[] { 100, 100, 100 })]
    [InlineData(5, 7, new[] { 100, 100 })]
    [InlineData(60, 384, new[] { 9000, 9000, 9000, 3000, 3000, 5000, 1000 })]
    [InlineData(3, 16, new[] { 40, 8 })]
    public void Splits_in_proportion_to_memory_in_every_layer(int layers, int experts, int[] capacities)
    {
        int[] owners = ExpertSplit.Compute(layers, experts, Shards(layers * experts, capacities));

        Assert.DoesNotContain(-1, owners);
        for (int shard = 0; shard < capacities.Length; shard++)
        {
            double share = (double)capacities[shard] / capacities.Sum();
            Assert.InRange(owners.Count(owner => owner == shard), Math.Floor(owners.Length * share), Math.Ceiling(owners.Length * share));
            foreach (int[] layer in owners.Chunk(experts))
                Assert.InRange(layer.Count(owner => owner == shard), Math.Floor(experts * share) - 1, Math.Ceiling(experts * share) + 1);
        }
    }

    [Fact]
    public void Never_gives_a_shard_more_than_fits_and_leaves_out_the_rest()
    {
        int[] owners = ExpertSplit.Compute(2, 10, Shards(20, [9, 3, 5]));

        Assert.Equal([9, 3, 5, 3], new[] { 0, 1, 2, -1 }.Select(shard => owners.Count(owner => owner == shard)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Where_memory_is_short_the_survivors_keep_all_that_they_hold(int dead)
    {
        ExpertSplit.Shard[] shards = Shards(64, [22, 22, 22]);
        int[] before = ExpertSplit.Compute(4, 16, shards);
        ExpertSplit.Shard[] held = Held(shards, before);
        held[dead] = held[dead] with { Weight = 0, Limit = 0 };

        int[] after = ExpertSplit.Compute(4, 16, held);

        for (int i = 0; i < before.Length; i++)
            Assert.True(before[i] == dead || after[i] == before[i], $"expert {i} moved from {before[i]} to {after[i]}");
    }

    [Fact]
    public void A_split_taken_as_input_gives_itself()
    {
        Random random = new(5);
        for (int round = 0; round < 200; round++)
        {
            (int layers, int experts) = (random.Next(1, 9), random.Next(1, 40));
            int[] capacities = [.. Enumerable.Range(0, random.Next(1, 7)).Select(_ => random.Next(1, layers * experts))];
            ExpertSplit.Shard[] shards = Shards(layers * experts, capacities);
            foreach (ExpertSplit.Shard shard in shards)
                shard.Has.AsSpan().Fill(random.Next(2) == 0);

            int[] first = ExpertSplit.Compute(layers, experts, shards);
            int[] second = ExpertSplit.Compute(layers, experts, Held(shards, first));

            Assert.Equal(first, second);
        }
    }

    [Theory]
    [InlineData(4, 12, 2)]
    [InlineData(60, 384, 7)]
    public void A_shard_that_joins_gets_its_share_and_nothing_else_moves(int layers, int experts, int before)
    {
        int count = layers * experts;
        ExpertSplit.Shard[] shards = Shards(count, [.. Enumerable.Repeat(count, before)]);
        int[] first = ExpertSplit.Compute(layers, experts, shards);

        int[] second = ExpertSplit.Compute(layers, experts, [.. Held(shards, first), .. Shards(count, [count])]);

        int moved = first.Zip(second).Count(pair => pair.First != pair.Second);
        Assert.Equal(second.Count(owner => owner == before), moved);
        Assert.InRange(moved, count / (before + 1), (count / (before + 1)) + 1);
    }

    [Theory]
    [InlineData(4, 12, 3)]
    [InlineData(60, 384, 8)]
    public void When_a_shard_leaves_only_its_experts_move(int layers, int experts, int before)
    {
        int count = layers * experts;
        ExpertSplit.Shard[] shards = Shards(count, [.. Enumerable.Repeat(count, before)]);
        int[] first = ExpertSplit.Compute(layers, experts, shards);

        int[] second = ExpertSplit.Compute(layers, experts, Held(shards, first)[..^1]);

        Assert.All(first.Zip(second).Where(pair => pair.First != before - 1), pair => Assert.Equal(pair.First, pair.Second));
        Assert.DoesNotContain(-1, second);
    }

    private static ExpertSplit.Shard[] Shards(int count, int[] capacities) =>
        [.. capacities.Select(capacity => new ExpertSplit.Shard(capacity, capacity, new bool[count]))];

    private static ExpertSplit.Shard[] Held(ExpertSplit.Shard[] shards, int[] owners) =>
        [.. shards.Select((shard, index) => shard with { Has = [.. owners.Select(owner => owner == index)] })];
}
