using BenchmarkDotNet.Attributes;
using K2Cluster.Engine;
using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Scheduling;
using K2Cluster.Trunk;

namespace K2Cluster.Benchmarks;

/// <summary>
/// What the engine costs a token, beside the model: planning, pages, cache, a choice among 16 tokens, the channel to a reader
/// that reads along. Each figure is for one token.
/// </summary>
public class SchedulerBenchmarks
{
    private const int Vocabulary = 16;
    private const int Sequences = 256;
    private const int AnswerTokens = 250;
    private const int MeasuredTokens = 150;
    private const int PromptTokens = 100_000;

    private readonly TrunkBatch _batch = new();
    private readonly TrunkResult _result = new();
    private readonly List<Sequence> _sequences = [];
    private Scheduler _scheduler = null!;
    private KvPages _pages = null!;

    [IterationSetup(Targets = [nameof(Decode)])]
    public void SetupDecode() => StartDecodes(drafts: 0, pageCount: Sequences * 8);

    [IterationSetup(Targets = [nameof(DecodeWithDrafts)])]
    public void SetupDrafts() => StartDecodes(drafts: 8, pageCount: Sequences * 8);

    [IterationSetup(Targets = [nameof(DecodeWithPreemptions)])]
    public void SetupPreemptions() => StartDecodes(drafts: 0, pageCount: Sequences * 3);

    [IterationSetup(Targets = [nameof(Prompt)])]
    public void SetupPrompt() => StartPrompt();

    [IterationSetup(Targets = [nameof(CachedPrompt)])]
    public void SetupCachedPrompt()
    {
        StartPrompt();
        Prompt();
        Sequence first = _sequences[0];
        _sequences[0] = new Sequence(first.Request, 1, TimeSpan.MaxValue);
    }

    /// <summary>256 sequences with prompts of 64 tokens.</summary>
    [Benchmark(OperationsPerInvoke = Sequences * MeasuredTokens)]
    public void Decode() => Generate();

    /// <summary>Their texts repeat themselves; up to 128 rows of a step are drafts.</summary>
    [Benchmark(OperationsPerInvoke = Sequences * MeasuredTokens)]
    public void DecodeWithDrafts() => Generate();

    /// <summary>There are fewer pages than they need, so that some lose theirs and are computed again.</summary>
    [Benchmark(OperationsPerInvoke = Sequences * MeasuredTokens)]
    public void DecodeWithPreemptions() => Generate();

    /// <summary>100,000 tokens in chunks of 512.</summary>
    [Benchmark(OperationsPerInvoke = PromptTokens)]
    public void Prompt()
    {
        while (_sequences[0].Remaining > 512)
            Step();
    }

    /// <summary>The same tokens from the cache.</summary>
    [Benchmark(OperationsPerInvoke = PromptTokens)]
    public void CachedPrompt()
    {
        _pages.Reuse(_sequences[0]);
        if (_sequences[0].Computed < PromptTokens - 600)
            throw new InvalidOperationException($"{_sequences[0].Computed} tokens came from the cache.");
    }

    private void StartDecodes(int drafts, int pageCount)
    {
        Start(new EngineOptions { DraftTokens = drafts, StepTokens = Sequences * 64, MaxRunning = Sequences }, pageCount);
        for (int i = 0; i < Sequences; i++)
            Add(promptTokens: 64, AnswerTokens, seed: i, drafts);
        // Until channels and lists have their room: what is measured is in the midst of answers.
        while (_sequences.Exists(static sequence => sequence.Furthest < 100))
            Step();
    }

    private void StartPrompt()
    {
        Start(new EngineOptions(), PromptTokens / ITrunk.PageTokens * 2);
        Add(PromptTokens, maxTokens: 1, seed: 1, drafts: 0);
    }

    private void Start(EngineOptions options, int pageCount)
    {
        _pages = new KvPages(pageCount);
        _scheduler = new Scheduler(_pages, new Sampler(Vocabulary), options);
        _sequences.Clear();
    }

    private void Add(int promptTokens, int maxTokens, int seed, int drafts)
    {
        Random random = new(seed);
        int[] prompt = new int[promptTokens];
        for (int i = 0; i < promptTokens; i++)
            prompt[i] = random.Next(Vocabulary);
        GenerationRequest request = new() { Id = "r", Prompt = prompt, MaxTokens = maxTokens, Sampling = SamplingParameters.Greedy };
        Sequence sequence = new(request, maxTokens, TimeSpan.MaxValue, drafts);
        _sequences.Add(sequence);
        _scheduler.Add(sequence);
    }

    private void Generate()
    {
        long end = _scheduler.CompletionTokens + (Sequences * MeasuredTokens);
        while (_scheduler.CompletionTokens < end && _scheduler.Running > 0)
            Step();
    }

    private void Step()
    {
        _scheduler.Sweep(TimeSpan.Zero);
        _scheduler.Admit();
        _scheduler.Schedule(_batch, TimeSpan.Zero);
        Answer();
        _scheduler.Commit(_batch, _result, TimeSpan.Zero);
        for (int i = 0; i < _scheduler.Step.Count; i++)
        {
            while (_scheduler.Step[i].Output.TryRead(out _))
            {
            }
        }
    }

    /// <summary>In place of the model: the next position's id, round the vocabulary.</summary>
    private void Answer()
    {
        int rows = 0;
        foreach (bool needs in _batch.NeedsLogits)
            rows += needs ? 1 : 0;
        _result.Reset(_batch.Sequences.Count, rows, Vocabulary);
        int index = 0;
        for (int row = 0; row < _batch.Rows; row++)
        {
            if (!_batch.NeedsLogits[row])
                continue;
            Span<float> logits = _result.Logits(index++);
            logits.Clear();
            logits[(_batch.Positions[row] + 1) % Vocabulary] = 1;
        }
    }
}
