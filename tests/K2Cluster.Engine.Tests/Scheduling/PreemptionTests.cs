using K2Cluster.Engine.Scheduling;
using K2Cluster.Engine.Tests.Fakes;

namespace K2Cluster.Engine.Tests.Scheduling;

public sealed class PreemptionTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_youngest_of_the_lowest_priority_loses_its_pages_and_the_first_in_order_never_does(bool cache)
    {
        using StepLoop loop = new(new EngineOptions { PrefixCache = cache }, pageCount: 12);
        Sequence[] sequences =
        [
            loop.Add(Requests.Make(1, 100, 400, new SamplingParameters(Seed: 1))),
            // It comes to the end of a page last: when the others lack pages it has some to lose.
            loop.Add(Requests.Make(2, 90, 400, new SamplingParameters(Seed: 2)) with { Priority = 1 }),
            loop.Add(Requests.Make(3, 120, 400, new SamplingParameters(Seed: 3))),
        ];
        Assert.True(loop.Step());
        Assert.Equal(3, loop.Scheduler.Running);
        List<int> lost = [];
        bool[] ran = [true, true, true];
        while (!sequences.All(sequence => sequence.HasEnded))
        {
            Assert.True(loop.Step());
            for (int i = 0; i < 3; i++)
            {
                if (ran[i] && !sequences[i].IsRunning && !sequences[i].HasEnded)
                    lost.Add(i);
                ran[i] = sequences[i].IsRunning;
            }
        }

        Assert.Equal(2, lost[0]);
        Assert.DoesNotContain(1, lost);
        Assert.Equal(loop.Scheduler.Preemptions, lost.Count);
        foreach (Sequence sequence in sequences)
            Assert.Equal(StepLoop.Expected(sequence.Request), sequence.Tokens[sequence.PromptLength..].ToArray());
        Assert.Equal(12, loop.Pages.Available);
    }

    [Fact]
    public void What_is_left_of_its_pages_is_not_computed_again_and_counts_neither_as_prompt_nor_as_cached()
    {
        using StepLoop loop = new(pageCount: 13);
        Sequence old = loop.Add(Requests.Make(1, 64 * 6, 100));
        Sequence young = loop.Add(Requests.Make(2, (64 * 4) + 1, 130));
        loop.StepUntil(() => loop.Scheduler.Preemptions > 0);
        Assert.False(young.IsRunning);
        int tokens = young.Tokens.Length;
        Assert.InRange(young.Furthest, (64 * 5) + 1, 64 * 6);
        int before = loop.Rows + old.MaxTokens - (old.Tokens.Length - old.PromptLength);
        loop.StepUntil(() => young.HasEnded);
        Assert.True(old.HasEnded);
        int recomputed = loop.Rows - before - (young.Tokens.Length - tokens);
        Assert.InRange(recomputed, 1, 64);
        Assert.Equal((64 * 6) + (64 * 4) + 1, loop.Scheduler.PromptTokens);
        Assert.Equal((0, 0), (young.CachedTokens, loop.Scheduler.CachedTokens));
        Assert.Equal(StepLoop.Expected(young.Request), young.Tokens[young.PromptLength..].ToArray());
    }

    [Fact]
    public void A_prompt_takes_pages_from_those_behind_it()
    {
        using StepLoop loop = new(new EngineOptions { StepTokens = 128 }, pageCount: 16);
        Sequence low = loop.Add(Requests.Make(1, 64 * 3, 500) with { Priority = -1 });
        Sequence high = loop.Add(Requests.Make(2, 64 * 10, 300));
        loop.StepUntil(() => high.HasEnded);
        Assert.False(low.HasEnded);
        Assert.True(loop.Scheduler.Preemptions > 0);
        Assert.Equal(StepLoop.Expected(low.Request), loop.Finish(low));
    }

    [Fact]
    public void A_preempted_request_can_be_cancelled_and_times_out_like_any_other()
    {
        foreach (bool cancel in new[] { true, false })
        {
            using StepLoop loop = new(pageCount: 12);
            Sequence old = loop.Add(Requests.Make(1, 100, 500));
            Sequence young = loop.Add(Requests.Make(2, 100, 500, limit: TimeSpan.FromSeconds(1)));
            loop.StepUntil(() => loop.Scheduler.Preemptions > 0);
            Assert.False(young.IsRunning);
            if (cancel)
                young.Cancel();
            else
                loop.Now = TimeSpan.FromSeconds(1);
            Assert.True(loop.Step());
            Assert.True(young.HasEnded);
            Assert.Equal(0, loop.Scheduler.Waiting);
            Assert.Equal(StepLoop.Expected(old.Request), loop.Finish(old));
        }
    }

    [Fact]
    public void Answers_that_outgrow_the_pages_cost_a_bounded_amount_of_computing_again()
    {
        using StepLoop loop = new(pageCount: 40);
        Sequence[] sequences = [.. Enumerable.Range(0, 30).Select(i => loop.Add(Requests.Make(i, 20, 600)))];
        loop.StepUntil(() => sequences.All(sequence => sequence.HasEnded));
        int needed = 30 * (20 + 600 - 1);
        Assert.InRange(loop.Scheduler.Preemptions, 1, 150);
        Assert.InRange(loop.Rows, needed, needed * 2);
        foreach (Sequence sequence in sequences)
            Assert.Equal(StepLoop.Expected(sequence.Request), sequence.Tokens[20..].ToArray());
    }
}
