using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Scheduling;

namespace K2Cluster.Engine.Tests.Sampling;

public sealed class SamplerTests
{
    private const float Forbidden = float.NegativeInfinity;

    [Theory]
    [InlineData(new[] { 1f, 3f, 2f }, 1)]
    [InlineData(new[] { 3f, 3f, 3f }, 0)]
    [InlineData(new[] { -5f, -1f, -1f }, 1)]
    [InlineData(new[] { Forbidden, Forbidden, -1e38f }, 2)]
    [InlineData(new[] { -0f, 0f }, 0)]
    public void Greedy_takes_the_lowest_id_of_the_highest_logits(float[] logits, int expected) =>
        Assert.Equal(expected, Sample(logits, SamplingParameters.Greedy));

    [Theory]
    [InlineData(new[] { 1f, float.NaN, 2f }, "token 1 is NaN")]
    [InlineData(new[] { float.NaN }, "token 0 is NaN")]
    [InlineData(new[] { Forbidden, float.NaN }, "token 1 is NaN")]
    [InlineData(new[] { 1f, float.PositiveInfinity }, "token 1 is Infinity")]
    [InlineData(new[] { Forbidden, Forbidden }, "No token is allowed")]
    public void Broken_logits_are_an_error_and_not_a_token(float[] logits, string reason)
    {
        foreach (float temperature in new[] { 0f, 1f })
            Assert.Contains(reason, Assert.Throws<SamplingException>(() => Sample(logits, new SamplingParameters(temperature))).Message);
    }

    /// <summary>From a separate implementation; ids whose sums lie within rounding of a draw would differ.</summary>
    [Theory]
    [InlineData(1f, 1f, 42, new[] { 26, 18, 18, 13, 13, 37, 44, 8, 36, 18, 18, 18, 44, 16, 13, 37 })]
    [InlineData(0.7f, 0.9f, 42, new[] { 26, 18, 18, 13, 16, 39, 44, 8, 36, 18, 18, 18, 44, 18, 13, 39 })]
    [InlineData(2f, 0.5f, 7, new[] { 41, 41, 16, 3, 13, 3, 31, 26, 13, 31, 13, 13, 21, 21, 41, 26 })]
    public void Fixed_seeds_give_fixed_tokens(float temperature, float topP, ulong seed, int[] expected)
    {
        float[] logits = [.. Enumerable.Range(0, 50).Select(id => id * 37 % 23 / 4f)];
        Assert.Equal(expected, Enumerable.Range(10, 16).Select(position => Sample(logits, new SamplingParameters(temperature, topP, seed), position)));
    }

    [Theory]
    [InlineData(1f, 1f)]
    [InlineData(0.5f, 1f)]
    [InlineData(2f, 0.8f)]
    public void Tokens_come_as_often_as_their_probability_says(float temperature, float topP)
    {
        float[] logits = [0.1f, 2f, -1f, 1.5f, Forbidden, 0.7f, -3f, 1.9f];
        double[] expected = Probabilities(logits, temperature, topP);
        const int Draws = 50_000;
        int[] counts = new int[logits.Length];
        Sampler sampler = new(logits.Length);
        for (int position = 1; position <= Draws; position++)
            counts[sampler.Choose(logits, new SamplingParameters(temperature, topP), Philox.Uniform(11, 0, position))]++;

        double chiSquare = 0;
        for (int id = 0; id < logits.Length; id++)
        {
            if (expected[id] == 0)
                Assert.Equal(0, counts[id]);
            else
                chiSquare += (counts[id] - (Draws * expected[id])) * (counts[id] - (Draws * expected[id])) / (Draws * expected[id]);
        }

        // At most 6 degrees of freedom: 40 is passed once in two million seeds.
        Assert.InRange(chiSquare, 0, 40);
    }

    [Theory]
    [InlineData(0.5, new[] { 0 })]
    [InlineData(0.50001, new[] { 0, 1 })]
    [InlineData(0.75, new[] { 0, 1 })]
    [InlineData(0.75001, new[] { 0, 1, 2 })]
    [InlineData(0.99999, new[] { 0, 1, 2, 3 })]
    [InlineData(1, new[] { 0, 1, 2, 3 })]
    [InlineData(1e-30, new[] { 0 })]
    public void Top_p_keeps_the_smallest_set_that_reaches_it(double topP, int[] expected)
    {
        // Probabilities 1/2, 1/4, 1/8, 1/8: exact up to exp's last bit, hence the distance from the borders that matter.
        float[] logits = [MathF.Log(4.00001f), MathF.Log(2.00001f), 0, 0];
        Assert.Equal(expected, Reachable(logits, new SamplingParameters(TopP: (float)topP)));
    }

    [Fact]
    public void Top_p_takes_equal_probabilities_by_the_lowest_id()
    {
        float[] logits = [0, 1, 1, 1, 1, 0];
        double one = Math.E / ((4 * Math.E) + 2);
        for (int kept = 1; kept <= 4; kept++)
            Assert.Equal(Enumerable.Range(1, kept), Reachable(logits, new SamplingParameters(TopP: (float)(one * (kept - 0.5)))));
        Assert.Equal([0, 1, 2, 3, 4], Reachable(logits, new SamplingParameters(TopP: (float)((one * 4) + 0.01))));
    }

    [Fact]
    public void Top_p_over_many_tokens_equals_sorting_them_all()
    {
        Random random = new(5);
        Sampler sampler = new(1000);
        for (int round = 0; round < 50; round++)
        {
            float spread = 1 + (round % 10 * 3);
            float[] logits = [.. Enumerable.Range(0, 1000).Select(_ => MathF.Round(random.NextSingle() * spread, 1))];
            SamplingParameters parameters = new(Temperature: 0.3f + random.NextSingle(), TopP: 0.01f + (random.NextSingle() * 0.98f));
            double[] expected = Probabilities(logits, parameters.Temperature, parameters.TopP);
            for (int i = 0; i < 20; i++)
                Assert.NotEqual(0, expected[sampler.Choose(logits, parameters, i / 20.0)]);
            int last = Array.FindLastIndex(expected, probability => probability > 0);
            Assert.Equal(last, sampler.Choose(logits, parameters, 1 - Math.ScaleB(1, -53)));
            Assert.Equal(Array.FindIndex(expected, probability => probability > 0), sampler.Choose(logits, parameters, 0));
        }
    }

    [Theory]
    [InlineData(1e-6f)]
    [InlineData(1e-38f)]
    [InlineData(float.Epsilon)]
    public void A_tiny_temperature_leaves_the_highest_logits(float temperature)
    {
        Assert.Equal([1], Reachable([1, 3, 2, Forbidden], new SamplingParameters(temperature)));
        Assert.Equal([1, 2], Reachable([1, 3, 3, -1e30f], new SamplingParameters(temperature)));
    }

    [Fact]
    public void A_huge_temperature_makes_all_allowed_tokens_equal()
    {
        Assert.Equal([0, 1, 3], Reachable([1, 3, Forbidden, -1e4f], new SamplingParameters(float.MaxValue)));
        Assert.Equal([0, 1], Reachable([1, 3, Forbidden, -1e4f], new SamplingParameters(float.MaxValue, TopP: 0.6f)));
    }

    [Fact]
    public void Extreme_logits_do_not_overflow()
    {
        Assert.Equal([0], Reachable([float.MaxValue, float.MinValue, 0], new SamplingParameters()));
        Assert.Equal([0, 1], Reachable([float.MinValue, float.MinValue], new SamplingParameters()));
    }

    private static int Sample(float[] logits, SamplingParameters parameters, int position = 1)
    {
        GenerationRequest request = new() { Id = "s", Prompt = new int[position], MaxTokens = 1, Sampling = parameters };
        return new Sampler(logits.Length).Sample(new Sequence(request, 1, TimeSpan.MaxValue), [.. logits], out _);
    }

    /// <summary>The tokens that some draw gives, in order: each has here more than 1/2000 of the probability.</summary>
    private static List<int> Reachable(float[] logits, SamplingParameters parameters)
    {
        Sampler sampler = new(logits.Length);
        SortedSet<int> reached = [];
        for (int i = 0; i <= 2000; i++)
            reached.Add(sampler.Choose(logits, parameters, Math.Min(i / 2000.0, 1 - Math.ScaleB(1, -53))));
        return [.. reached];
    }

    private static double[] Probabilities(float[] logits, float temperature, float topP)
    {
        double[] weights = [.. logits.Select(logit => Math.Exp(((double)logit - logits.Max()) / temperature))];
        double whole = weights.Sum();
        double[] kept = new double[logits.Length];
        double reached = 0;
        foreach (int id in Enumerable.Range(0, logits.Length).OrderByDescending(id => weights[id]).ThenBy(id => id))
        {
            kept[id] = weights[id];
            reached += weights[id];
            if (topP < 1 && reached >= topP * whole)
                break;
        }

        double sum = kept.Sum();
        return [.. kept.Select(weight => weight / sum)];
    }
}
