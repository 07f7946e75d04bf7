using K2Cluster.Checkpoint;
using K2Cluster.Tests;
using K2Cluster.Trunk.Routing;

namespace K2Cluster.Trunk.Tests;

public sealed class ExpertChoiceTests
{
    [Fact]
    public void Experts_are_chosen_with_the_bias_and_weighed_without()
    {
        (int[] ids, float[] weights) = Choose(scores: [0.1f, 0.5f, 0.4f, 0.3f], bias: [0.9f, 0, 0, 0.15f], topK: 2);

        Assert.Equal([0, 1], ids);
        Assert.Equal(2f * 0.1f / 0.6f, weights[0], 6);
        Assert.Equal(2f * 0.5f / 0.6f, weights[1], 6);
    }

    [Fact]
    public void Ties_go_to_the_lowest_index()
    {
        Assert.Equal([1, 3, 0], Choose([0.5f, 0.7f, 0.5f, 0.7f], new float[4], topK: 3).Ids);
    }

    [Fact]
    public void Weights_may_stay_unnormalised()
    {
        Assert.Equal([1.4f, 1f], Choose([0.5f, 0.7f, 0.1f, 0.2f], new float[4], topK: 2, normalise: false).Weights);
    }

    [Fact]
    public void One_expert_a_token_is_not_normalised()
    {
        Assert.Equal([1.4f], Choose([0.5f, 0.7f, 0.1f, 0.2f], new float[4], topK: 1).Weights);
    }

    [Fact]
    public void Only_experts_of_the_groups_with_the_best_pairs_are_chosen()
    {
        // The best expert of all is alone in its group: 0.9 + 0.1 < 0.6 + 0.5 and 0.6 + 0.45.
        float[] scores = [0.9f, 0.1f, 0.05f, 0.6f, 0.5f, 0.05f, 0.45f, 0.05f, 0.6f];

        Assert.Equal([3, 8, 4], Choose(scores, new float[9], topK: 3, groups: 3, topGroups: 2).Ids);
    }

    [Fact]
    public void Choices_below_zero_within_a_good_group_go_before_experts_outside()
    {
        Assert.Equal([0, 1], Choose([0.9f, 0.1f, 0.3f, 0.2f], [0, -0.15f, 0, 0], topK: 2, groups: 2, topGroups: 1).Ids);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Scores_that_are_no_numbers_still_give_distinct_experts(int groups)
    {
        float[] scores = [.. Enumerable.Repeat(float.NaN, 8)];

        int[] ids = Choose(scores, new float[8], topK: 4, groups: groups, topGroups: groups / 2 + 1).Ids;

        Assert.Equal(4, ids.Distinct().Count());
        Assert.All(ids, id => Assert.InRange(id, 0, 7));
    }

    private static (int[] Ids, float[] Weights) Choose(float[] scores, float[] bias, int topK, bool normalise = true, int groups = 1, int topGroups = 1)
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
        ModelConfig config = model.Config with
        {
            RoutedExperts = scores.Length,
            ExpertsPerToken = topK,
            NormaliseTopK = normalise,
            RoutedScalingFactor = 2,
            Groups = groups,
            TopKGroups = topGroups,
        };
        int[] ids = new int[topK];
        float[] weights = new float[topK];
        ExpertChoice.Choose(config, scores, [.. scores.Zip(bias, (score, b) => score + b)], ids, weights);
        return (ids, weights);
    }
}
