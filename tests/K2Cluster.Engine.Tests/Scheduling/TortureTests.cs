using K2Cluster.Engine.Scheduling;
using K2Cluster.Engine.Tests.Fakes;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Engine.Tests.Scheduling;

/// <summary>Everything at once, by seeds: whatever happens, tokens are right, pages add up after each step, and nothing is left over.</summary>
public sealed class TortureTests
{
    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 24)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Requests_end_with_their_own_tokens_or_for_their_own_reason_and_leave_nothing(int seed)
    {
        Random random = new(seed);
        EngineOptions options = new()
        {
            StepTokens = random.Next(4, 200),
            PrefillChunkTokens = random.Next(1, 100),
            MaxRunning = random.Next(1, 40),
            PrefixCache = seed % 4 != 0,
            DraftTokens = seed % 3 == 0 ? random.Next(1, 9) : 0,
        };
        int pageCount = random.Next(6, 40);
        using StepLoop loop = new(options, pageCount);
        int failures = random.Next(0, 3);
        loop.Trunk.Status = (_, _) => random.Next(100) switch
        {
            < 3 when failures > 0 => RowStatus.Unavailable,
            3 when failures > 1 => RowStatus.Failed,
            _ => RowStatus.Done,
        };
        loop.Trunk.BeforeRun = _ =>
        {
            if (failures > 1 && random.Next(300) == 0)
                throw new IOException("the device went away");
        };

        const int total = 250;
        List<Sequence> live = [];
        int submitted = 0;
        int complete = 0;
        while (submitted < total || live.Count > 0)
        {
            while (submitted < total && live.Count < 30 && random.Next(3) > 0)
            {
                live.Add(loop.Add(Request(random, submitted, pageCount)));
                submitted++;
            }

            if (live.Count > 0 && random.Next(20) == 0)
                live[random.Next(live.Count)].Cancel();
            if (!loop.Step())
                loop.Now += TimeSpan.FromMilliseconds(50);
            foreach (Sequence sequence in live)
            {
                if (sequence.HasEnded && CheckEnd(sequence))
                    complete++;
            }

            live.RemoveAll(sequence => sequence.HasEnded);
            Assert.True(loop.Steps < 200_000, "It does not come to an end.");
        }

        Assert.Equal((0, 0, total), (loop.Scheduler.Running, loop.Scheduler.Waiting, loop.Scheduler.Ended));
        Assert.Equal(pageCount, loop.Pages.Available);
        Assert.InRange(complete, total / 10, total);
        Assert.True(options.PrefixCache || loop.Pages.Free == pageCount);
    }

    private static GenerationRequest Request(Random random, int index, int pageCount)
    {
        int room = pageCount * 64;
        int length = random.Next(4) == 0 ? random.Next(1, room - 1) : random.Next(1, Math.Min(200, room - 1));
        // A few families of prompts that begin alike; some are equal.
        int[] prompt = new int[length];
        Random text = new(random.Next(4));
        for (int i = 0; i < length; i++)
            prompt[i] = text.Next(i < 150 ? MadeUpModel.VocabularySize : 6);
        if (random.Next(2) == 0)
            prompt[random.Next(length)] = random.Next(MadeUpModel.VocabularySize);
        return new GenerationRequest
        {
            Id = $"r{index}",
            Prompt = prompt,
            MaxTokens = Math.Min(room - length, random.Next(5) == 0 ? random.Next(1, 300) : random.Next(1, 40)),
            Sampling = random.Next(2) == 0 ? SamplingParameters.Greedy : new SamplingParameters(Seed: (ulong)index, TopP: 0.9f),
            Priority = random.Next(3) == 0 ? random.Next(-10, 11) : 0,
            StopTokens = random.Next(3) == 0 ? [5, 6] : [],
            LogitsProcessor = random.Next(3) == 0 ? new Narrow() : null,
            TimeLimit = random.Next(10) == 0 ? TimeSpan.FromSeconds(1) : TimeSpan.FromMinutes(10),
        };
    }

    private static bool CheckEnd(Sequence sequence)
    {
        int[] expected = StepLoop.Expected(sequence.Request);
        int[] tokens = sequence.Tokens[sequence.PromptLength..].ToArray();
        Assert.Equal(expected[..tokens.Length], tokens);
        return tokens.Length == expected.Length;
    }

    /// <summary>Texts that repeat themselves, so that drafts hit.</summary>
    private sealed class Narrow : ILogitsProcessor
    {
        public void Apply(ReadOnlySpan<int> tokens, int promptLength, Span<float> logits)
        {
            for (int id = 0; id < logits.Length; id++)
                logits[id] += id == (tokens[^1] * 5) % MadeUpModel.VocabularySize ? 8 : 0;
        }
    }
}
