using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Scheduling;

namespace K2Cluster.Engine.Tests.Sampling;

/// <summary>Each parameter alone and all together, against <see cref="ReferenceSampler"/>.</summary>
public sealed class SamplingParametersTests
{
    private static readonly SamplingParameters[] Table =
    [
        SamplingParameters.Greedy,
        new(),
        new(Temperature: 0.3f),
        new(Temperature: 2),
        new(TopP: 0.9f),
        new(TopP: 0.2f),
        new(TopP: 0.999999f),
        new() { TopK = 1 },
        new() { TopK = 3 },
        new() { TopK = 40 },
        new() { TopK = 500 },
        new() { TopK = int.MaxValue },
        new() { MinP = 0.05f },
        new() { MinP = 0.9f },
        new() { MinP = 1 },
        new() { MinP = 1e-30f },
        new() { RepetitionPenalty = 1.3f },
        new() { RepetitionPenalty = 0.5f },
        new() { PresencePenalty = 1.5f },
        new() { PresencePenalty = -2 },
        new() { FrequencyPenalty = 0.7f },
        new() { FrequencyPenalty = -0.4f },
        new() { LogitBias = [new(3, 100), new(5, -100), new(7, 2.5f), new(7, 1)] },
        new() { MinTokens = 1000 },
        new(Temperature: 0) { RepetitionPenalty = 1.7f, PresencePenalty = 0.5f, FrequencyPenalty = 0.5f },
        new(Temperature: 0) { LogitBias = [new(11, 50)], MinTokens = 4 },
        new(Temperature: 0.8f, TopP: 0.9f) { TopK = 50 },
        new(Temperature: 0.8f, TopP: 0.95f) { TopK = 20, MinP = 0.02f },
        new(Temperature: 1.4f, TopP: 0.7f) { MinP = 0.01f },
        new(Temperature: 0.9f, TopP: 0.85f)
        {
            TopK = 100, MinP = 0.001f, RepetitionPenalty = 1.1f, PresencePenalty = 0.3f, FrequencyPenalty = 0.2f, MinTokens = 6,
            LogitBias = [new(1, 3), new(90, -7)],
        },
    ];

    public static TheoryData<int, int> Cases
    {
        get
        {
            TheoryData<int, int> cases = [];
            for (int index = 0; index < Table.Length; index++)
            {
                // One block and less, some blocks with a tail, more blocks than top-k asks for.
                foreach (int vocabulary in new[] { 97, 700, 12_000 })
                    cases.Add(index, vocabulary);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_grid_of_draws_gives_the_tokens_that_the_definition_gives(int index, int vocabulary)
    {
        SamplingParameters sampling = Table[index];
        Random random = new(index + vocabulary);
        Sampler sampler = new(vocabulary);
        List<int> generated = [];
        int[] prompt = [1, 4, 4, 90, 12];
        GenerationRequest request = new() { Id = "s", Prompt = prompt, MaxTokens = 100, Sampling = sampling, StopTokens = [2, 13] };
        Sequence sequence = new(request, 100, TimeSpan.MaxValue);
        int rounds = vocabulary < 1000 ? 8 : 4;
        for (int round = 0; round < rounds; round++)
        {
            float[] logits = [.. Enumerable.Range(0, vocabulary).Select(_ => (float)Normal(random) * (1 + round))];
            double[] expected = ReferenceSampler.Probabilities(ReferenceSampler.Adjusted(logits, request, generated), sampling);
            float[] adjusted = [.. logits];
            sequence.Sampling.Apply(sequence.Tokens, adjusted);
            int compared = 0;
            for (int i = 0; i < 50; i++)
            {
                double uniform = (i + 0.5) / 50;
                (int token, double margin) = ReferenceSampler.Draw(expected, uniform);
                // FP32 weights: a draw this near to a border may fall on either side of it.
                if (margin < 1e-5)
                    continue;
                compared++;
                Assert.Equal(token, sampler.Choose(adjusted, sampling, uniform));
            }

            Assert.True(compared > 25, $"only {compared} of 50 draws were far enough from a border");
            int next = sampler.Sample(sequence, logits, out TokenLogprobs? logprobs);
            Assert.Null(logprobs);
            Assert.True(expected[next] > 0 || sampling.TopP < 1);
            // Repeats, so that counts above one are met.
            generated.Add(round % 3 == 2 ? generated[0] : next);
            sequence.Append(generated[^1]);
        }
    }

    [Fact]
    public void Penalties_count_the_prompt_for_repetition_only()
    {
        GenerationRequest request = new() { Id = "s", Prompt = new[] { 0, 1 }, MaxTokens = 9, Sampling = new() { RepetitionPenalty = 2, PresencePenalty = 1, FrequencyPenalty = 0.5f } };
        Sequence sequence = new(request, 9, TimeSpan.MaxValue);
        sequence.Append(1);
        sequence.Append(2);
        sequence.Append(2);
        float[] logits = [4, 4, 4, 4, float.NegativeInfinity];
        sequence.Sampling.Apply(sequence.Tokens, logits);

        Assert.Equal([2, 0.5f, 0, 4, float.NegativeInfinity], logits);
    }

    [Fact]
    public void Counts_follow_tokens_that_come_and_tokens_that_go()
    {
        SamplingParameters sampling = new() { RepetitionPenalty = 1.5f, PresencePenalty = 0.7f, FrequencyPenalty = 0.3f };
        GenerationRequest request = new() { Id = "s", Prompt = new[] { 3, 3, 8 }, MaxTokens = 9, Sampling = sampling };
        SamplingState kept = new(request);
        float[] logits = [.. Enumerable.Range(0, 10).Select(id => id - 4.5f)];
        foreach (int[] tokens in new int[][] { [3, 3, 8], [3, 3, 8, 1], [3, 3, 8, 1, 1], [3, 3, 8, 1, 2], [3, 3, 8, 1], [3, 3, 8, 1, 5, 5, 6], [3, 3, 8], [3, 3, 8, 9] })
        {
            float[] fresh = [.. logits];
            float[] again = [.. logits];
            new SamplingState(request).Apply(tokens, fresh);
            kept.Apply(tokens, again);
            Assert.Equal(fresh, again);
            Assert.Equal(ReferenceSampler.Adjusted(logits, request, tokens[3..]).Select(logit => (float)logit), fresh, (a, b) => MathF.Abs(a - b) < 1e-5f);
        }
    }

    [Fact]
    public void Nothing_brings_back_what_is_forbidden()
    {
        GenerationRequest request = new()
        {
            Id = "s",
            Prompt = new[] { 0 },
            MaxTokens = 9,
            StopTokens = [1],
            LogitsProcessor = new Mask(token => token != 2),
            Sampling = new() { MinTokens = 3, PresencePenalty = -2, FrequencyPenalty = -2, RepetitionPenalty = 0.01f, LogitBias = [new(0, 100), new(1, 100), new(2, 100)] },
        };
        Sequence sequence = new(request, 9, TimeSpan.MaxValue);
        Sampler sampler = new(4);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(3, sampler.Sample(sequence, [float.NegativeInfinity, 5, 5, -50], out _));
            sequence.Append(3);
        }

        // The least length is reached: the stop token may come, what the mask forbids may not.
        Assert.Equal(1, sampler.Sample(sequence, [float.NegativeInfinity, 5, 5, -50], out _));
    }

    [Theory]
    [InlineData(0, 97)]
    [InlineData(5, 97)]
    [InlineData(20, 97)]
    [InlineData(20, 7)]
    [InlineData(20, 12_000)]
    public void Logprobs_are_those_of_the_model_whatever_the_request_does_to_its_logits(int count, int vocabulary)
    {
        SamplingParameters[] variants =
        [
            new() { TopLogprobs = count },
            new(Temperature: 0) { TopLogprobs = count },
            new(Temperature: 0.2f, TopP: 0.1f) { TopLogprobs = count, TopK = 5, RepetitionPenalty = 1.5f, LogitBias = [new(4, 100)], MinTokens = 5 },
        ];
        Random random = new(vocabulary);
        Sampler sampler = new(vocabulary);
        foreach (SamplingParameters sampling in variants)
        {
            // Rounded, so that some are equal.
            float[] logits = [.. Enumerable.Range(0, vocabulary).Select(_ => MathF.Round((float)Normal(random) * 3, 1))];
            double[] expected = ReferenceSampler.Logprobs(logits);
            GenerationRequest request = new() { Id = "s", Prompt = new[] { 1, 2 }, MaxTokens = 9, Sampling = sampling, StopTokens = [3] };
            int token = sampler.Sample(new Sequence(request, 9, TimeSpan.MaxValue), [.. logits], out TokenLogprobs? logprobs);

            Assert.NotNull(logprobs);
            Assert.Equal(expected[token], logprobs.Logprob, 5e-6);
            int[] top = [.. Enumerable.Range(0, vocabulary).OrderByDescending(id => logits[id]).ThenBy(id => id).Take(count)];
            Assert.Equal(top, logprobs.Top.Select(entry => entry.Token));
            Assert.All(logprobs.Top, entry => Assert.Equal(expected[entry.Token], entry.Logprob, 5e-6));
        }
    }

    [Fact]
    public void Logprobs_of_few_allowed_tokens_list_no_others()
    {
        GenerationRequest request = new() { Id = "s", Prompt = new[] { 1 }, MaxTokens = 9, Sampling = new() { TopLogprobs = 3 } };
        new Sampler(4).Sample(new Sequence(request, 9, TimeSpan.MaxValue), [float.NegativeInfinity, 0, float.NegativeInfinity, 0], out TokenLogprobs? logprobs);
        Assert.Equal([new TokenLogprob(1, MathF.Log(0.5f)), new TokenLogprob(3, MathF.Log(0.5f))], logprobs!.Top);
    }

    [Fact]
    public void Sampling_allocates_nothing_whatever_is_asked_but_logprobs()
    {
        Sampler sampler = new(2000);
        float[] logits = [.. Enumerable.Range(0, 2000).Select(id => id * 37 % 91 / 9f)];
        float[] row = new float[2000];
        foreach (SamplingParameters sampling in Table)
        {
            GenerationRequest request = new() { Id = "s", Prompt = new[] { 1, 4 }, MaxTokens = 100, Sampling = sampling, StopTokens = [2] };
            Sequence sequence = new(request, 100, TimeSpan.MaxValue);
            // The first few grow what grows: token list, channel, counts.
            for (int i = 0; i < 8; i++)
                Round();
            Sample();
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 8; i++)
                Sample();
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

            void Round() => sequence.Append(Sample());

            int Sample()
            {
                logits.CopyTo(row, 0);
                return sampler.Sample(sequence, row, out _);
            }
        }
    }

    private static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    private sealed class Mask(Func<int, bool> allows) : ILogitsProcessor
    {
        public void Apply(ReadOnlySpan<int> tokens, int promptLength, Span<float> logits)
        {
            for (int id = 0; id < logits.Length; id++)
            {
                if (!allows(id))
                    logits[id] = float.NegativeInfinity;
            }
        }
    }
}
