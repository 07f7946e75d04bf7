using K2Cluster.Engine.Scheduling;
using K2Cluster.Engine.Tests.Fakes;

namespace K2Cluster.Engine.Tests.Scheduling;

/// <summary>What a step allocates beside the trunk's work. Token lists and channels double now and then: measured is between two doublings.</summary>
public sealed class SchedulerAllocationTests
{
    [Theory]
    [InlineData(0f, 64, 0)]
    [InlineData(0.7f, 64, 0)]
    [InlineData(0f, 64, 4)]
    [InlineData(0.7f, 42, 0)]
    [InlineData(0f, 42, 4)]
    public void Decoding_allocates_nothing_with_drafts_and_preemptions_either(float temperature, int pageCount, int drafts)
    {
        using StepLoop loop = new(new EngineOptions { DraftTokens = drafts }, pageCount) { ChecksIntegrity = false };
        Sequence[] sequences = [.. Enumerable.Range(0, 4).Select(i => loop.Add(Requests.Make(i, 10, 1000, new SamplingParameters(temperature, TopP: 0.9f))))];
        loop.StepUntil(() => sequences.All(sequence => sequence.Tokens.Length > 550));
        long preemptions = loop.Scheduler.Preemptions;
        List<long> allocated = [];
        for (int length = 600; length < 800; length += 45)
        {
            long before = loop.Allocated;
            loop.StepUntil(() => sequences.Any(sequence => sequence.Tokens.Length >= length));
            allocated.Add(loop.Allocated - before);
        }

        // Once: a listener of another test, which all of the process share, may make an activity of a step.
        Assert.True(allocated.Count(bytes => bytes != 0) <= 1, $"{string.Join(", ", allocated)} bytes.");
        Assert.Equal(pageCount < 64, loop.Scheduler.Preemptions > preemptions);
        Assert.Equal(drafts > 0, loop.Scheduler.DraftedTokens > 0);
    }

    [Fact]
    public void Prompts_allocate_nothing_whether_computed_taken_from_the_cache_or_in_place_of_what_was_cached()
    {
        using StepLoop loop = new(new EngineOptions { StepTokens = 128 }, pageCount: 64) { ChecksIntegrity = false };
        for (int round = 0; round < 3; round++)
        {
            Sequence[] sequences = [.. Enumerable.Range(0, 3).Select(i => loop.Add(Requests.Make((10 * round) + i, 1200, 1))), loop.Add(Requests.Make(10 * round, 1200, 1) with { Choice = 1 })];
            long before = loop.Allocated;
            while (sequences.All(sequence => sequence.Remaining > 128))
                Assert.True(loop.Step());
            Assert.True(round == 0 || loop.Allocated == before, $"{loop.Allocated - before} bytes.");
            loop.StepUntil(() => sequences.All(sequence => sequence.HasEnded));
        }

        Assert.True(loop.Pages.Cached > 50);
        Assert.True(loop.Scheduler.CachedTokens > 3 * 1100);
    }
}
