using K2Cluster.Engine.Scheduling;
using K2Cluster.Engine.Tests.Fakes;

namespace K2Cluster.Engine.Tests.Scheduling;

/// <summary>Who waits for whom, counted in steps and rows.</summary>
public sealed class FairnessTests
{
    [Fact]
    public void A_decode_waits_for_one_chunk_of_a_long_prompt_at_most()
    {
        using StepLoop loop = new(new EngineOptions { StepTokens = 512, PrefillChunkTokens = 64 }, pageCount: 400);
        Sequence[] decodes = [.. Enumerable.Range(1, 5).Select(i => loop.Add(Requests.Make(i, 10, 2000)))];
        Assert.True(loop.Step());
        Sequence prompt = loop.Add(Requests.Make(9, 10_000, 2));
        while (prompt.Furthest < 10_000)
        {
            int[] before = [.. decodes.Select(decode => decode.Tokens.Length)];
            Assert.True(loop.Step());
            Assert.InRange(loop.Batch.Rows, 1, 64 + 5);
            Assert.All(decodes.Zip(before), pair => Assert.Equal(pair.Second + 1, pair.First.Tokens.Length));
        }

        Assert.Equal(1 + ((10_000 + 63) / 64), loop.Steps);
    }

    [Fact]
    public void Without_decodes_a_prompt_has_the_whole_step()
    {
        using StepLoop loop = new(new EngineOptions { StepTokens = 512, PrefillChunkTokens = 64 }, pageCount: 400);
        Sequence prompt = loop.Add(Requests.Make(9, 10_000, 1));
        loop.StepUntil(() => prompt.HasEnded);
        Assert.Equal((10_000 + 511) / 512, loop.Steps);
    }

    [Fact]
    public void A_short_prompt_does_not_wait_for_a_long_one_to_end()
    {
        using StepLoop loop = new(new EngineOptions { StepTokens = 128 }, pageCount: 400);
        Sequence large = loop.Add(Requests.Make(1, 20_000, 1));
        Assert.True(loop.Step());
        Sequence second = loop.Add(Requests.Make(2, 1000, 1));
        Sequence small = loop.Add(Requests.Make(3, 60, 1));
        Assert.True(loop.Step());
        Assert.True(small.HasEnded);
        Assert.Equal((128 + 64, 4), (large.Computed, second.Computed));
    }

    [Fact]
    public void A_long_prompt_gets_half_of_each_step_whatever_comes()
    {
        using StepLoop loop = new(new EngineOptions { StepTokens = 128 }, pageCount: 400);
        Sequence large = loop.Add(Requests.Make(0, 6400, 1));
        int mark = 1;
        while (!large.HasEnded)
        {
            while (loop.Scheduler.Waiting < 5)
                loop.Add(Requests.Make(mark++ % 97, 60 + (mark % 7), 1));
            Assert.True(loop.Step());
        }

        Assert.InRange(loop.Steps, 6400 / 128, 6400 / 64);
    }

    [Fact]
    public void No_request_is_overtaken_for_long_by_later_ones_of_its_priority()
    {
        // A request that needs nearly all pages, while small ones keep coming.
        using StepLoop loop = new(pageCount: 32);
        loop.Add(Requests.Make(1, 10, 50));
        Assert.True(loop.Step());
        Sequence large = loop.Add(Requests.Make(2, 64 * 30, 2));
        int mark = 3;
        while (!large.HasEnded)
        {
            while (loop.Scheduler.Waiting < 5)
                loop.Add(Requests.Make(mark++ % 97, 50, 50));
            Assert.True(loop.Step());
            Assert.True(loop.Steps < 200);
        }
    }

    [Fact]
    public void Higher_priorities_are_admitted_first_and_equals_in_the_order_in_which_they_came()
    {
        using StepLoop loop = new(new EngineOptions { MaxRunning = 1 });
        loop.Add(Requests.Make(0, 5, 3));
        Assert.True(loop.Step());
        (int Mark, int Priority)[] arrivals = [(1, 0), (2, -10), (3, 5), (4, 0), (5, 5), (6, 10)];
        Sequence[] sequences = [.. arrivals.Select(arrival => loop.Add(Requests.Make(arrival.Mark, 5, 2) with { Priority = arrival.Priority }))];
        List<int> order = [];
        while (order.Count < sequences.Length)
        {
            Assert.True(loop.Step());
            order.AddRange(sequences.Where(sequence => sequence.HasEnded).Select(sequence => sequence.Tokens[0]).Except(order).ToList());
        }

        Assert.Equal([6, 3, 5, 1, 4, 2], order);
    }
}
