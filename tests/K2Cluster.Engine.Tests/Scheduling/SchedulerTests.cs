using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Scheduling;
using K2Cluster.Engine.Tests.Fakes;
using K2Cluster.Kernels.Experts;
using K2Cluster.Trunk;

namespace K2Cluster.Engine.Tests.Scheduling;

/// <summary>The scheduler alone: no thread, no clock, one step at a time.</summary>
public sealed class SchedulerTests : IDisposable
{
    private readonly FakeTrunk _trunk = new(pageCount: 64);
    private readonly KvPages _pages = new(64);
    private readonly TrunkBatch _batch = new();
    private readonly TrunkResult _result = new();
    private TimeSpan _now;

    public void Dispose() => _trunk.Dispose();

    [Fact]
    public void A_long_prompt_leaves_every_step_to_the_running_decodes()
    {
        Scheduler scheduler = Make(stepTokens: 32);
        Sequence[] decoding = [Add(scheduler, Requests.Make(1, 3, 1000)), Add(scheduler, Requests.Make(2, 3, 1000))];
        Assert.True(Step(scheduler));
        Sequence prompt = Add(scheduler, Requests.Make(3, 301, 5));
        int before = decoding[0].Tokens.Length;
        int steps = 0;
        while (prompt.Computed < 301)
        {
            Assert.True(Step(scheduler));
            steps++;
            Assert.True(_batch.Rows <= 32);
            Assert.All(decoding, sequence => Assert.Equal(before + steps, sequence.Tokens.Length));
        }

        Assert.Equal((301 + 29) / 30, steps);
        Assert.Equal(302, prompt.Tokens.Length);
    }

    [Fact]
    public void Requests_are_admitted_in_order_and_only_when_what_they_have_so_far_fits_with_a_page_to_spare_for_each_that_runs()
    {
        Scheduler scheduler = Make();
        Sequence large = Add(scheduler, Requests.Make(1, 40 * 64, 1000));
        Sequence second = Add(scheduler, Requests.Make(2, 24 * 64, 1000));
        Sequence small = Add(scheduler, Requests.Make(3, 10, 10));
        Assert.True(Step(scheduler));
        Assert.Equal((1, 2), (scheduler.Running, scheduler.Waiting));
        large.Cancel();
        Assert.True(Step(scheduler));
        Assert.Equal((2, 0), (scheduler.Running, scheduler.Waiting));
        Assert.True(second.IsRunning && small.IsRunning);
    }

    [Fact]
    public void No_more_run_at_once_than_a_step_has_rows()
    {
        Scheduler scheduler = Make(stepTokens: 4, maxRunning: 100);
        for (int i = 0; i < 6; i++)
            Add(scheduler, Requests.Make(i, 1, 3));
        Assert.True(Step(scheduler));
        Assert.Equal((4, 2), (scheduler.Running, scheduler.Waiting));
    }

    [Theory]
    [InlineData(64, 1, 1)]
    [InlineData(64, 2, 2)]
    [InlineData(1, 64, 1)]
    [InlineData(1, 65, 2)]
    public void A_page_is_taken_when_it_is_needed_and_the_last_token_needs_none(int prompt, int maxTokens, int pages)
    {
        Scheduler scheduler = Make();
        Sequence sequence = Add(scheduler, Requests.Make(1, prompt, maxTokens));
        int most = 0;
        while (!sequence.HasEnded)
        {
            Assert.True(Step(scheduler));
            most = Math.Max(most, _batch.PageTable.Count);
            Assert.True(sequence.HasEnded || sequence.Pages.Count == Sequence.PagesFor(sequence.Computed));
        }

        Assert.Equal(pages, most);
        Assert.Empty(_trunk.Faults);
    }

    [Fact]
    public void Cancelling_gives_the_pages_back_in_the_next_step_full_ones_to_the_cache_and_tells_the_trunk_of_the_others()
    {
        Scheduler scheduler = Make();
        Sequence other = Add(scheduler, Requests.Make(2, 10, 50));
        Sequence sequence = Add(scheduler, Requests.Make(1, 100, 100));
        Assert.True(Step(scheduler));
        int[] held = [.. sequence.Pages];
        Assert.Equal(2, held.Length);
        sequence.Cancel();
        Assert.True(Step(scheduler));
        Assert.Equal((64 - other.Pages.Count - 1, 1), (_pages.Free, _pages.Cached));
        Assert.Equal([held[1]], _batch.Freed);
        Assert.Single(scheduler.Step);
        Assert.True(sequence.HasEnded);
        scheduler.CheckIntegrity();
    }

    [Fact]
    public void A_sequence_that_was_unavailable_is_replayed_from_where_it_stood_after_doubling_pauses()
    {
        Scheduler scheduler = Make();
        Sequence sequence = Add(scheduler, Requests.Make(1, 100, 2));
        _trunk.Status = (_, _) => RowStatus.Unavailable;
        foreach (int pause in new[] { 10, 20, 40, 80, 160, 320, 640, 1000, 1000 })
        {
            Assert.True(Step(scheduler));
            Assert.Equal((0, 100), (sequence.Computed, sequence.Tokens.Length));
            Assert.False(Step(scheduler));
            Assert.Equal(_now + TimeSpan.FromMilliseconds(pause), scheduler.NextEvent(_now));
            _now += TimeSpan.FromMilliseconds(pause);
        }

        _trunk.Status = null;
        Assert.True(Step(scheduler));
        Assert.Equal((100, 101), (sequence.Computed, sequence.Tokens.Length));
        Assert.Equal(TimeSpan.Zero, sequence.RetryDelay);
        Assert.Empty(_trunk.Faults);
    }

    [Fact]
    public void What_was_postponed_is_replayed_at_once_when_it_is_asked_for_and_then_after_the_first_pause_again()
    {
        Scheduler scheduler = Make();
        Add(scheduler, Requests.Make(1, 100, 2));
        _trunk.Status = (_, _) => RowStatus.Unavailable;
        for (int i = 0; i < 8; i++)
        {
            Assert.True(Step(scheduler));
            _now = scheduler.NextEvent(_now)!.Value;
        }

        Assert.True(Step(scheduler));
        Assert.False(Step(scheduler));
        scheduler.RetryNow();
        Assert.True(Step(scheduler));
        Assert.Equal(_now + TimeSpan.FromMilliseconds(10), scheduler.NextEvent(_now));
    }

    [Fact]
    public void The_next_event_is_the_first_time_limit_or_replay_and_none_when_idle()
    {
        Scheduler scheduler = Make(maxRunning: 1);
        Assert.Null(scheduler.NextEvent(_now));
        Add(scheduler, Requests.Make(1, 5, 5, limit: TimeSpan.FromMilliseconds(500)));
        Add(scheduler, Requests.Make(2, 5, 5, limit: TimeSpan.FromMilliseconds(5)));
        _trunk.Status = (_, _) => RowStatus.Unavailable;
        Assert.True(Step(scheduler));
        Assert.Equal(TimeSpan.FromMilliseconds(5), scheduler.NextEvent(_now));
        _now = TimeSpan.FromMilliseconds(5);
        Assert.False(Step(scheduler));
        Assert.Equal(0, scheduler.Waiting);
        Assert.Equal(TimeSpan.FromMilliseconds(10), scheduler.NextEvent(_now));
        _now = TimeSpan.FromMilliseconds(500);
        Assert.False(Step(scheduler));
        Assert.Null(scheduler.NextEvent(_now));
        Assert.Equal(64, _pages.Available);
    }

    [Fact]
    public void A_result_with_too_few_statuses_ends_the_step_and_returns_the_pages()
    {
        Scheduler scheduler = Make();
        Add(scheduler, Requests.Make(1, 5, 5));
        Add(scheduler, Requests.Make(2, 5, 5));
        scheduler.Admit();
        Assert.True(scheduler.Schedule(_batch, _now));
        _trunk.Run(_batch, new LayerRange(0, 3), _result);
        _result.Statuses.RemoveAt(1);
        Exception error = Assert.ThrowsAny<ArgumentException>(() => scheduler.Commit(_batch, _result, _now));
        scheduler.Fail(error);
        Assert.Equal((0, 64), (scheduler.Running, _pages.Available));
    }

    private Scheduler Make(int stepTokens = 512, int maxRunning = 256) =>
        new(_pages, new Sampler(MadeUpModel.VocabularySize), new EngineOptions { StepTokens = stepTokens, MaxRunning = maxRunning });

    private Sequence Add(Scheduler scheduler, GenerationRequest request)
    {
        Sequence sequence = new(request, request.MaxTokens, _now + request.TimeLimit);
        scheduler.Add(sequence);
        return sequence;
    }

    private bool Step(Scheduler scheduler)
    {
        scheduler.Sweep(_now);
        scheduler.Admit();
        if (!scheduler.Schedule(_batch, _now))
            return false;
        _trunk.Run(_batch, new LayerRange(0, 3), _result);
        scheduler.Commit(_batch, _result, _now);
        return true;
    }
}
