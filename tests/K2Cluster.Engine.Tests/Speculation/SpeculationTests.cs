using K2Cluster.Engine.Scheduling;
using K2Cluster.Engine.Tests.Fakes;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Engine.Tests.Speculation;

public sealed class SpeculationTests
{
    /// <summary>A text that repeats itself now and then: of two or three tokens each, by what came before.</summary>
    private sealed class FewTokens(int choices) : ILogitsProcessor
    {
        public void Apply(ReadOnlySpan<int> tokens, int promptLength, Span<float> logits)
        {
            int first = (tokens[^1] * 7) % (MadeUpModel.VocabularySize - choices + 1);
            for (int id = 0; id < logits.Length; id++)
            {
                if (id < first || id >= first + choices)
                    logits[id] = float.NegativeInfinity;
            }
        }
    }

    public static TheoryData<int, float, int> Texts => new()
    {
        { 1, 0f, 5 },
        { 2, 0f, 5 },
        { 2, 1f, 63 },
        { 3, 0.7f, 64 },
        { 3, 1f, 130 },
        { 97, 1f, 5 },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void Answers_with_drafts_are_those_without(int choices, float temperature, int promptLength)
    {
        SamplingParameters sampling = new(temperature, Seed: 11) { PresencePenalty = 0.1f, FrequencyPenalty = 0.01f };
        GenerationRequest request = Requests.Make(1, promptLength, 300, sampling) with { LogitsProcessor = new FewTokens(choices) };
        using StepLoop plain = new();
        using StepLoop drafting = new(new EngineOptions { DraftTokens = 8 });
        Sequence expected = plain.Add(request);
        Sequence actual = drafting.Add(request);
        Assert.Equal(plain.Finish(expected), drafting.Finish(actual));
        Assert.Equal(StepLoop.Expected(request), drafting.Finish(actual));
        Assert.Equal(drafting.Steps, 300 - drafting.Scheduler.AcceptedTokens);
        Assert.InRange(drafting.Scheduler.AcceptedTokens, choices switch { 1 => 150, 2 => 20, _ => 0 }, drafting.Scheduler.DraftedTokens);
        // Misses cost little.
        Assert.InRange(drafting.Scheduler.DraftedTokens - drafting.Scheduler.AcceptedTokens, 0, 200);
    }

    [Fact]
    public void An_answer_that_repeats_itself_takes_a_fraction_of_the_steps()
    {
        using StepLoop loop = new(new EngineOptions { DraftTokens = 16 });
        loop.Finish(loop.Add(Requests.Make(1, 5, 1000) with { LogitsProcessor = new FewTokens(1) }));
        Assert.InRange(loop.Steps, 1000 / 17, 200);
    }

    [Fact]
    public void A_stop_token_within_a_draft_ends_the_answer_there()
    {
        int[] cycle = [11, 12, 13, 14, 15];
        GenerationRequest request = Requests.Make(1, 5, 300) with { Prompt = (int[])[.. cycle, .. cycle, .. cycle, 11], StopTokens = [15], LogitsProcessor = new Cycle(5, 15) };
        using StepLoop loop = new(new EngineOptions { DraftTokens = 8 });
        Sequence sequence = loop.Add(request);
        Assert.Equal([12, 13, 14, 15], loop.Finish(sequence));
        Assert.Equal((2, 3), (loop.Steps, loop.Scheduler.AcceptedTokens));
        Assert.True(loop.Scheduler.DraftedTokens > 3);
    }

    /// <summary>The last so many tokens again and again; then a token of its own.</summary>
    private sealed class Cycle(int length, int stop) : ILogitsProcessor
    {
        public void Apply(ReadOnlySpan<int> tokens, int promptLength, Span<float> logits)
        {
            logits.Fill(float.NegativeInfinity);
            logits[tokens.Length - promptLength >= 45 ? stop : tokens[^length]] = 0;
        }
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 0)]
    [InlineData(3, 1)]
    public void No_more_is_drafted_than_the_answer_has_left(int maxTokens, int most)
    {
        using StepLoop loop = new(new EngineOptions { DraftTokens = 8 });
        GenerationRequest request = Requests.Make(1, 10, maxTokens) with { Prompt = Enumerable.Repeat(4, 20).ToArray(), LogitsProcessor = new Cycle(1, 4) };
        Sequence sequence = loop.Add(request);
        Assert.Equal(StepLoop.Expected(request), loop.Finish(sequence));
        Assert.Equal(most, loop.Scheduler.DraftedTokens);
    }

    [Fact]
    public void A_draft_takes_pages_and_rows_that_are_left_and_none_from_others()
    {
        EngineOptions options = new() { DraftTokens = 8, StepTokens = 6 };
        using StepLoop loop = new(options, pageCount: 3);
        GenerationRequest request = Requests.Make(1, 1, 80) with { Prompt = Enumerable.Repeat(4, 10).ToArray(), LogitsProcessor = new Cycle(1, 4) };
        Sequence[] sequences = [loop.Add(request), loop.Add(request with { MaxTokens = 50 })];
        while (!sequences.All(sequence => sequence.HasEnded))
        {
            Assert.True(loop.Step());
            Assert.InRange(loop.Batch.Rows, 1, 6);
        }

        Assert.Equal(0, loop.Scheduler.Preemptions);
        Assert.Equal(StepLoop.Expected(request), sequences[0].Tokens[10..].ToArray());
        Assert.True(loop.Scheduler.AcceptedTokens > 50);
    }

    [Fact]
    public void Drafts_are_made_for_those_who_want_them()
    {
        using StepLoop loop = new(new EngineOptions { DraftTokens = 8 });
        loop.Finish(loop.Add(Requests.Make(1, 5, 100) with { LogitsProcessor = new FewTokens(1), DraftTokens = 0 }));
        Assert.Equal(0, loop.Scheduler.DraftedTokens);
    }

    [Fact]
    public void A_draft_whose_step_was_not_done_leaves_no_trace()
    {
        using StepLoop loop = new(new EngineOptions { DraftTokens = 8 });
        Random random = new(2);
        loop.Trunk.Status = (_, _) => random.Next(3) == 0 ? RowStatus.Unavailable : RowStatus.Done;
        GenerationRequest request = Requests.Make(1, 5, 300, new SamplingParameters(Seed: 4)) with { LogitsProcessor = new FewTokens(2) };
        Sequence sequence = loop.Add(request);
        while (!sequence.HasEnded)
        {
            if (!loop.Step())
                loop.Now += TimeSpan.FromSeconds(1);
        }

        Assert.Equal(StepLoop.Expected(request), sequence.Tokens[5..].ToArray());
        Assert.True(loop.Scheduler.AcceptedTokens > 50);
    }
}
