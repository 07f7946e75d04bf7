using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Scheduling;
using K2Cluster.Trunk;

namespace K2Cluster.Engine.Tests.Fakes;

/// <summary>Scheduler and trunk without thread and clock, one step at a time; after each, pages, cache and sequences must agree.</summary>
internal sealed class StepLoop : IDisposable
{
    public StepLoop(EngineOptions? options = null, int pageCount = 64)
    {
        Options = options ?? new EngineOptions();
        Trunk = new FakeTrunk(pageCount);
        Pages = new KvPages(pageCount, Options.PrefixCache);
        Scheduler = new Scheduler(Pages, new Sampler(MadeUpModel.VocabularySize), Options);
    }

    public EngineOptions Options { get; }

    public FakeTrunk Trunk { get; }

    public KvPages Pages { get; }

    public Scheduler Scheduler { get; }

    public TrunkBatch Batch { get; } = new();

    public TrunkResult Result { get; } = new();

    public TimeSpan Now { get; set; }

    /// <summary>Rows of all steps.</summary>
    public int Rows { get; private set; }

    public int Steps { get; private set; }

    public bool ChecksIntegrity { get; init; } = true;

    /// <summary>Bytes that all steps allocated, the trunk's work left out.</summary>
    public long Allocated { get; private set; }

    public Sequence Add(GenerationRequest request)
    {
        Sequence sequence = new(request, request.MaxTokens, Now + request.TimeLimit, request.DraftTokens ?? Options.DraftTokens);
        Scheduler.Add(sequence);
        return sequence;
    }

    /// <summary>False when nothing could be scheduled.</summary>
    public bool Step()
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        Scheduler.Sweep(Now);
        Scheduler.Admit();
        bool scheduled = Scheduler.Schedule(Batch, Now);
        Allocated += GC.GetAllocatedBytesForCurrentThread() - before;
        if (scheduled)
        {
            Rows += Batch.Rows;
            Steps++;
            try
            {
                Trunk.Run(Batch, new LayerRange(0, Trunk.LayerCount), Result);
                before = GC.GetAllocatedBytesForCurrentThread();
                Scheduler.Commit(Batch, Result, Now);
                Allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            }
            catch (Exception error)
            {
                Scheduler.Fail(error);
            }
        }

        if (ChecksIntegrity)
            Scheduler.CheckIntegrity();
        Assert.Empty(Trunk.Faults);
        return scheduled;
    }

    public void StepUntil(Func<bool> reached)
    {
        for (int i = 0; !reached(); i++)
        {
            Assert.True(i < 100_000, "It takes too many steps.");
            Assert.True(Step(), "There is nothing to do.");
        }
    }

    /// <summary>Runs a request to its end, with whatever else there is, and returns its new tokens.</summary>
    public int[] Finish(Sequence sequence)
    {
        StepUntil(() => sequence.HasEnded);
        return sequence.Tokens[sequence.PromptLength..].ToArray();
    }

    public static int[] Expected(GenerationRequest request) => [.. MadeUpModel.Answer(request, request.MaxTokens).Select(token => token.Id)];

    public void Dispose() => Trunk.Dispose();
}
