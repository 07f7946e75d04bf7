using K2Cluster.Engine.Scheduling;
using K2Cluster.Engine.Tests.Fakes;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Engine.Tests.Scheduling;

public sealed class PrefixSharingTests
{
    private static readonly SamplingParameters Drawn = new(Temperature: 1.5f, Seed: 3);

    [Theory]
    [InlineData(512)]
    [InlineData(64)]
    [InlineData(40)]
    public void Equal_prompts_that_arrive_together_are_computed_once_but_for_their_last_page(int stepTokens)
    {
        using StepLoop loop = new(new EngineOptions { StepTokens = stepTokens });
        GenerationRequest request = Requests.Make(1, 200, 2, Drawn);
        Sequence[] choices = [.. Enumerable.Range(0, 8).Select(i => loop.Add(request with { Choice = i }))];
        loop.StepUntil(() => choices.All(choice => choice.HasEnded));
        foreach (Sequence choice in choices)
            Assert.Equal(StepLoop.Expected(choice.Request), choice.Tokens[200..].ToArray());
        Assert.Equal(200 + (7 * (200 - 192)) + 8, loop.Rows);
        Assert.Equal(7 * 192, loop.Scheduler.CachedTokens);
        Assert.Equal(200 + (7 * 8), loop.Scheduler.PromptTokens);
    }

    [Theory]
    [InlineData(127, 64, 63)]
    [InlineData(128, 64, 64)]
    [InlineData(129, 128, 1)]
    [InlineData(64, 0, 64)]
    [InlineData(65, 64, 1)]
    [InlineData(1, 0, 1)]
    public void A_prompt_that_was_seen_before_is_computed_from_its_last_page_on_and_at_least_its_last_token(int length, int cached, int computed)
    {
        using StepLoop loop = new();
        GenerationRequest request = Requests.Make(1, length, 1);
        Assert.Equal(StepLoop.Expected(request), loop.Finish(loop.Add(request)));
        int before = loop.Rows;
        Sequence again = loop.Add(request);
        Assert.Equal(StepLoop.Expected(request), loop.Finish(again));
        Assert.Equal((cached, computed), (again.CachedTokens, loop.Rows - before));
    }

    [Fact]
    public void Generated_tokens_are_found_by_the_next_turn()
    {
        using StepLoop loop = new();
        GenerationRequest first = Requests.Make(1, 100, 200);
        Sequence answered = loop.Add(first);
        loop.Finish(answered);
        Sequence next = loop.Add(first with { Prompt = answered.Tokens.ToArray().Append(7).ToArray(), MaxTokens = 3 });
        Assert.Equal(StepLoop.Expected(next.Request), loop.Finish(next));
        Assert.Equal(256, next.CachedTokens);
    }

    [Fact]
    public void Prompts_that_part_share_what_they_have_in_common()
    {
        using StepLoop loop = new();
        GenerationRequest one = Requests.Make(1, 300, 1);
        int[] prompt = one.Prompt.ToArray();
        prompt[200] = (prompt[200] + 1) % MadeUpModel.VocabularySize;
        loop.Finish(loop.Add(one));
        Sequence other = loop.Add(one with { Prompt = prompt });
        Assert.Equal(StepLoop.Expected(other.Request), loop.Finish(other));
        Assert.Equal(192, other.CachedTokens);
    }

    [Theory]
    [InlineData("cancelled")]
    [InlineData("failed")]
    [InlineData("unavailable")]
    [InlineData("thrown")]
    public void Who_waits_for_a_page_goes_on_itself_when_the_one_that_computed_it_is_gone(string how)
    {
        using StepLoop loop = new();
        GenerationRequest request = Requests.Make(1, 400, 5, Drawn);
        Sequence computing = loop.Add(request);
        Sequence waiting = loop.Add(request with { Choice = 1 });
        loop.Trunk.Status = (_, _) => how switch { "failed" => RowStatus.Failed, "unavailable" => RowStatus.Unavailable, _ => RowStatus.Done };
        loop.Trunk.BeforeRun = _ =>
        {
            if (how == "cancelled")
                computing.Cancel();
            if (how == "thrown")
                throw new IOException("gone");
        };
        Assert.True(loop.Step());
        Assert.Equal((1, 400), (loop.Scheduler.Step.Count, loop.Batch.Rows));
        loop.Trunk.Status = null;
        loop.Trunk.BeforeRun = null;
        Assert.Equal(StepLoop.Expected(waiting.Request), loop.Finish(waiting));
        Assert.Equal(how == "unavailable", !computing.HasEnded);
    }

    [Fact]
    public void A_page_that_two_computed_at_once_is_kept_once()
    {
        // The other one is in the middle of the page already when the second sequence, shorter and so first, begins with it.
        using StepLoop loop = new(new EngineOptions { StepTokens = 40 });
        GenerationRequest request = Requests.Make(1, 300, 3);
        Sequence one = loop.Add(request);
        Assert.True(loop.Step());
        Sequence high = loop.Add(request with { Priority = 1, Prompt = request.Prompt[..100] });
        loop.StepUntil(() => one.HasEnded && high.HasEnded);
        Assert.Equal(StepLoop.Expected(one.Request), one.Tokens[300..].ToArray());
        Assert.Equal(StepLoop.Expected(high.Request), high.Tokens[100..].ToArray());
        Assert.Equal(4, loop.Pages.Cached);
        Assert.Equal(60, loop.Pages.Free);
    }

    [Fact]
    public void Without_the_cache_nothing_is_kept()
    {
        using StepLoop loop = new(new EngineOptions { PrefixCache = false });
        GenerationRequest request = Requests.Make(1, 200, 3);
        for (int i = 0; i < 2; i++)
        {
            Sequence sequence = loop.Add(request);
            Assert.Equal(StepLoop.Expected(request), loop.Finish(sequence));
            Assert.Equal((0, 64), (sequence.CachedTokens, loop.Pages.Free));
        }

        Assert.Equal(2 * 202, loop.Rows);
    }

    [Fact]
    public void Pages_in_use_are_never_evicted_and_those_used_last_stay()
    {
        using StepLoop loop = new(pageCount: 20);
        GenerationRequest kept = Requests.Make(1, 257, 60);
        Sequence running = loop.Add(kept);
        Assert.True(loop.Step());
        for (int i = 2; i < 40; i++)
            loop.Finish(loop.Add(Requests.Make(i, 320, 1)));
        Assert.Equal(StepLoop.Expected(kept), loop.Finish(running));
        Sequence last = loop.Add(Requests.Make(39, 320, 1));
        loop.Finish(last);
        Sequence early = loop.Add(Requests.Make(2, 320, 1));
        loop.Finish(early);
        Assert.Equal((256, 0), (last.CachedTokens, early.CachedTokens));
        Assert.Equal(0, loop.Scheduler.Preemptions);
    }

    [Fact]
    public void In_a_loop_of_300_turns_all_but_the_new_tokens_and_one_page_come_from_the_cache()
    {
        using StepLoop loop = new(pageCount: 256);
        Random random = new(5);
        List<int> text = [.. Requests.Make(1, 500, 1).Prompt.Span];
        int known = 0;
        for (int turn = 0; turn < 300; turn++)
        {
            for (int i = random.Next(10, 50); i > 0; i--)
                text.Add(random.Next(MadeUpModel.VocabularySize));
            GenerationRequest request = Requests.Make(1, 1, random.Next(1, 30), Drawn) with { Prompt = text.ToArray() };
            int before = loop.Rows;
            Sequence sequence = loop.Add(request);
            int[] answer = loop.Finish(sequence);
            if (turn % 50 == 49)
                Assert.Equal(StepLoop.Expected(request), answer);
            // All full pages of the turn before; the last token of its answer was never computed.
            Assert.Equal(known / 64 * 64, sequence.CachedTokens);
            Assert.Equal(text.Count - sequence.CachedTokens + answer.Length - 1, loop.Rows - before);
            text.AddRange(answer);
            known = text.Count - 1;
        }

        Assert.InRange(text.Count, 10_000, 256 * 64);
    }
}
