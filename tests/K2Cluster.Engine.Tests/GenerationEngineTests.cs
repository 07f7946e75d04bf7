using K2Cluster.Engine.Tests.Fakes;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Engine.Tests;

public sealed class GenerationEngineTests
{
    [Theory]
    [InlineData(512, 256, 64, 0)]
    [InlineData(64, 16, 64, 0)]
    [InlineData(7, 7, 64, 0)]
    [InlineData(1, 1, 8, 0)]
    [InlineData(512, 256, 64, 30)]
    [InlineData(13, 5, 12, 30)]
    [InlineData(64, 64, 8, 10, true, 5)]
    [InlineData(64, 64, 8, 10, false, 5)]
    [InlineData(512, 256, 64, 0, false)]
    public async Task Tokens_do_not_depend_on_batch_chunks_pages_replays_cache_or_drafts(int stepTokens, int maxRunning, int pageCount, int unavailablePercent, bool cache = true, int drafts = 0)
    {
        GenerationRequest[] requests = Requests.Mixed(44);
        FakeTrunk trunk = new(pageCount);
        Random random = new(1);
        if (unavailablePercent > 0)
            trunk.Status = (_, _) => random.Next(100) < unavailablePercent ? RowStatus.Unavailable : RowStatus.Done;
        await using GenerationEngine engine = new(trunk, new EngineOptions { StepTokens = stepTokens, MaxRunning = maxRunning, PrefixCache = cache, DraftTokens = drafts }, new SteppingTime());

        List<GeneratedToken>[] answers = await Task.WhenAll(requests.Select(request => engine.Collect(request)));

        Assert.Empty(trunk.Faults);
        for (int i = 0; i < requests.Length; i++)
            Assert.Equal(MadeUpModel.Answer(requests[i], requests[i].MaxTokens), answers[i]);
        Assert.Contains(answers, answer => answer[^1].Finish == FinishReason.Stop);
        Assert.Contains(answers, answer => answer[^1].Finish == FinishReason.Length);
    }

    [Fact]
    public async Task A_choice_draws_its_own_tokens()
    {
        await using GenerationEngine engine = new(new FakeTrunk());
        GenerationRequest request = Requests.Make(1, 5, 20, new SamplingParameters(Temperature: 2, Seed: 9));
        List<GeneratedToken> first = await engine.Collect(request);
        Assert.Equal(first, await engine.Collect(request));
        Assert.NotEqual(first, await engine.Collect(request with { Choice = 1 }));
    }

    [Fact]
    public async Task An_answer_can_be_continued_elsewhere()
    {
        await using GenerationEngine engine = new(new FakeTrunk());
        GenerationRequest request = Requests.Make(1, 5, 20, new SamplingParameters(Seed: 9));
        List<GeneratedToken> whole = await engine.Collect(request);
        int[] soFar = [.. whole.Take(8).Select(token => token.Id)];
        Assert.Equal(whole[8..], await engine.Collect(request with { Generated = soFar }));
    }

    [Fact]
    public async Task An_answer_ends_where_the_context_does()
    {
        await using GenerationEngine engine = new(new FakeTrunk(pageCount: 2, maxPositions: 100));
        Assert.Equal(100, engine.MaxContext);
        List<GeneratedToken> answer = await engine.Collect(Requests.Make(1, 90, int.MaxValue));
        Assert.Equal(10, answer.Count);
        Assert.Equal(FinishReason.Length, answer[^1].Finish);
        await using GenerationEngine small = new(new FakeTrunk(pageCount: 1, maxPositions: 100));
        Assert.Equal(64, small.MaxContext);
    }

    public static TheoryData<string, GenerationRequest> Unacceptable => new()
    {
        { "empty", Requests.Make(1, 0, 1) },
        { "128 tokens", Requests.Make(1, 128, 1) },
        { "2 pages of 64", Requests.Make(1, 5000, 1) },
        { "token 97", Requests.Make(1, 5, 1) with { Prompt = new[] { 1, 97 } } },
        { "token -1", Requests.Make(1, 5, 1) with { Prompt = new[] { -1 } } },
        { "it generated has token 97", Requests.Make(1, 5, 3) with { Generated = new[] { 1, 97 } } },
        { "2 tokens are generated already, and it may have 2", Requests.Make(1, 5, 2) with { Generated = new[] { 1, 2 } } },
        { "3 tokens are generated already, and it may have 2", Requests.Make(1, 126, 9) with { Generated = new[] { 1, 2, 3 } } },
        { "MaxTokens is 0", Requests.Make(1, 5, 0) },
        { "Priority is 11", Requests.Make(1, 5, 1) with { Priority = 11 } },
        { "Priority is -2147483648", Requests.Make(1, 5, 1) with { Priority = int.MinValue } },
        { "DraftTokens is -1", Requests.Make(1, 5, 1) with { DraftTokens = -1 } },
        { "Temperature is -1", Requests.Make(1, 5, 1, new SamplingParameters(Temperature: -1)) },
        { "Temperature is NaN", Requests.Make(1, 5, 1, new SamplingParameters(Temperature: float.NaN)) },
        { "Temperature is Infinity", Requests.Make(1, 5, 1, new SamplingParameters(Temperature: float.PositiveInfinity)) },
        { "TopP is 0", Requests.Make(1, 5, 1, new SamplingParameters(TopP: 0)) },
        { "TopP is 1.5", Requests.Make(1, 5, 1, new SamplingParameters(TopP: 1.5f)) },
        { "TopP is NaN", Requests.Make(1, 5, 1, new SamplingParameters(TopP: float.NaN)) },
        { "TopK is -1", Requests.Make(1, 5, 1, new SamplingParameters { TopK = -1 }) },
        { "MinP is -0.1", Requests.Make(1, 5, 1, new SamplingParameters { MinP = -0.1f }) },
        { "MinP is NaN", Requests.Make(1, 5, 1, new SamplingParameters { MinP = float.NaN }) },
        { "RepetitionPenalty is 0", Requests.Make(1, 5, 1, new SamplingParameters { RepetitionPenalty = 0 }) },
        { "RepetitionPenalty is 101", Requests.Make(1, 5, 1, new SamplingParameters { RepetitionPenalty = 101 }) },
        { "PresencePenalty is 2.5", Requests.Make(1, 5, 1, new SamplingParameters { PresencePenalty = 2.5f }) },
        { "FrequencyPenalty is NaN", Requests.Make(1, 5, 1, new SamplingParameters { FrequencyPenalty = float.NaN }) },
        { "MinTokens is -1", Requests.Make(1, 5, 1, new SamplingParameters { MinTokens = -1 }) },
        { "TopLogprobs is 21", Requests.Make(1, 5, 1, new SamplingParameters { TopLogprobs = 21 }) },
        { "LogitBias has 1025 entries", Requests.Make(1, 5, 1, new SamplingParameters { LogitBias = new TokenBias[1025] }) },
        { "LogitBias has token 97", Requests.Make(1, 5, 1, new SamplingParameters { LogitBias = [new TokenBias(97, 1)] }) },
        { "LogitBias of token 3 is -101", Requests.Make(1, 5, 1, new SamplingParameters { LogitBias = [new TokenBias(3, -101)] }) },
        { "StopTokens has 257 entries", Requests.Make(1, 5, 1) with { StopTokens = new int[257] } },
        { "StopTokens has token -1", Requests.Make(1, 5, 1) with { StopTokens = [-1] } },
        { "time limit is 00:00:00", Requests.Make(1, 5, 1, limit: TimeSpan.Zero) },
        { "at most 1.00:00:00", Requests.Make(1, 5, 1, limit: TimeSpan.MaxValue) },
    };

    [Theory]
    [MemberData(nameof(Unacceptable), DisableDiscoveryEnumeration = true)]
    public async Task What_cannot_be_served_is_refused_at_once_with_the_reason(string reason, GenerationRequest request)
    {
        await using GenerationEngine engine = new(new FakeTrunk(pageCount: 2));
        ArgumentException error = Assert.Throws<ArgumentException>(() => engine.GenerateAsync(request));
        Assert.Contains(reason, error.Message);
    }

    [Fact]
    public async Task A_full_queue_refuses_with_a_time()
    {
        using ManualResetEventSlim entered = new();
        using ManualResetEventSlim gate = new();
        FakeTrunk trunk = new() { BeforeRun = _ => { entered.Set(); gate.Wait(Requests.Patience); } };
        await using GenerationEngine engine = new(trunk, new EngineOptions { MaxWaiting = 2, MaxRunning = 1 });
        List<Task<List<GeneratedToken>>> answers = [engine.Collect(Requests.Make(1, 5, 3))];
        Assert.True(entered.Wait(Requests.Patience));
        answers.Add(engine.Collect(Requests.Make(2, 5, 3)));
        answers.Add(engine.Collect(Requests.Make(3, 5, 3)));

        EngineBusyException busy = Assert.Throws<EngineBusyException>(() => engine.GenerateAsync(Requests.Make(4, 5, 3)));

        Assert.InRange(busy.RetryAfter, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1));
        gate.Set();
        Assert.All(await Task.WhenAll(answers), answer => Assert.Equal(3, answer.Count));
        Assert.Equal(3, (await engine.Collect(Requests.Make(4, 5, 3))).Count);
    }

    [Fact]
    public async Task An_idle_engine_takes_at_once_what_can_run_beside_what_may_wait()
    {
        FakeTrunk trunk = new();
        await using GenerationEngine engine = new(trunk, new EngineOptions { MaxWaiting = 2, MaxRunning = 3 });
        Assert.Equal(5, engine.MaxRequests);
        for (int round = 0; round < 20; round++)
        {
            Task<List<GeneratedToken>>[] answers = [.. Enumerable.Range(0, engine.MaxRequests).Select(i => engine.Collect(Requests.Make(i, 5, 3)))];
            Assert.All(await Task.WhenAll(answers), answer => Assert.Equal(3, answer.Count));
            Assert.True(SpinWait.SpinUntil(() => engine.Places == 3, Requests.Patience));
        }
    }

    [Fact]
    public async Task Cancelling_ends_running_and_waiting_requests_and_frees_their_pages()
    {
        using ManualResetEventSlim gate = new();
        FakeTrunk trunk = new(pageCount: 4);
        trunk.BeforeRun = _ => Assert.True(trunk.Runs < 2 || gate.Wait(Requests.Patience));
        await using GenerationEngine engine = new(trunk, new EngineOptions { MaxRunning = 1 });
        using CancellationTokenSource cancellation = new();
        IAsyncEnumerator<GeneratedToken> running = engine.GenerateAsync(Requests.Make(1, 5, 250), cancellation.Token).GetAsyncEnumerator();
        Assert.True(await running.MoveNextAsync());
        Task<List<GeneratedToken>> waiting = engine.Collect(Requests.Make(2, 5, 250), cancellation.Token);

        await cancellation.CancelAsync();
        gate.Set();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await DrainAsync(running));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        Assert.Equal(2, (await engine.Collect(Requests.WholePool(engine))).Count);
        Assert.Empty(trunk.Faults);
    }

    [Fact]
    public async Task A_reader_that_goes_away_ends_its_request()
    {
        FakeTrunk trunk = new(pageCount: 64);
        await using GenerationEngine engine = new(trunk);
        await foreach (GeneratedToken _ in engine.GenerateAsync(Requests.Make(1, 5, 4000)))
            break;
        Assert.Equal(2, (await engine.Collect(Requests.WholePool(engine))).Count);
        Assert.True(trunk.Runs < 2000, $"{trunk.Runs} steps ran.");
    }

    [Fact]
    public async Task A_reader_that_lags_holds_up_nobody_and_loses_nothing()
    {
        await using GenerationEngine engine = new(new FakeTrunk());
        GenerationRequest slow = Requests.Make(1, 5, 100);
        IAsyncEnumerable<GeneratedToken> unread = engine.GenerateAsync(slow);
        Assert.Equal(200, (await engine.Collect(Requests.Make(2, 5, 200))).Count);
        Assert.Equal(MadeUpModel.Answer(slow, 100), await Requests.Collect(unread));
    }

    [Fact]
    public async Task Five_hundred_concurrent_requests_complete()
    {
        FakeTrunk trunk = new(pageCount: 128);
        GenerationRequest[] requests = Requests.Mixed(500);
        await using GenerationEngine engine = new(trunk, new EngineOptions { StepTokens = 256 });
        List<GeneratedToken>[] answers = await Task.WhenAll(requests.Select(request => Task.Run(() => engine.Collect(request))));
        Assert.Empty(trunk.Faults);
        for (int i = 0; i < requests.Length; i++)
            Assert.Equal(MadeUpModel.Answer(requests[i], requests[i].MaxTokens), answers[i]);
    }

    [Fact]
    public async Task Two_thousand_requests_cancelled_at_random_leak_no_page()
    {
        FakeTrunk trunk = new(pageCount: 32);
        GenerationRequest[] requests = Requests.Mixed(2000);
        GenerationEngine engine = new(trunk, new EngineOptions { MaxWaiting = 2000, MaxRunning = 32, StepTokens = 128 });
        int cancelled = 0;
        await Parallel.ForAsync(0, requests.Length, new ParallelOptions { MaxDegreeOfParallelism = 64 }, async (i, _) =>
        {
            using CancellationTokenSource cancellation = new();
            int left = new Random(i).Next(0, 60);
            bool abandon = i % 2 == 0;
            try
            {
                List<GeneratedToken> expected = MadeUpModel.Answer(requests[i], requests[i].MaxTokens);
                int received = 0;
                if (left == 0)
                    await cancellation.CancelAsync();
                await foreach (GeneratedToken token in engine.GenerateAsync(requests[i], cancellation.Token))
                {
                    Assert.Equal(expected[received++], token with { CachedTokens = 0 });
                    if (received != left)
                        continue;
                    Interlocked.Increment(ref cancelled);
                    if (abandon)
                        break;
                    await cancellation.CancelAsync();
                }
            }
            catch (OperationCanceledException)
            {
            }
        });
        Assert.Equal(2, (await engine.Collect(Requests.WholePool(engine))).Count);
        await engine.DisposeAsync();
        Assert.Empty(trunk.Faults);
        engine.Pages.CheckIntegrity([]);
        Assert.Equal(32, engine.Pages.Available);
        Assert.InRange(cancelled, 500, 1900);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    public async Task Ten_thousand_short_requests_of_which_many_are_cancelled_leave_nothing(int drafts)
    {
        FakeTrunk trunk = new(pageCount: 12);
        GenerationEngine engine = new(trunk, new EngineOptions { MaxWaiting = 100, MaxRunning = 16, DraftTokens = drafts });
        int complete = 0;
        await Parallel.ForAsync(0, 10_000, new ParallelOptions { MaxDegreeOfParallelism = 64 }, async (i, _) =>
        {
            GenerationRequest request = Requests.Make(i % 97, 1 + (i % 90), 1 + (i % 13)) with { Priority = i % 3 };
            using CancellationTokenSource cancellation = new();
            int left = i % 2 == 0 ? int.MaxValue : i % 7;
            if (left == 0)
                await cancellation.CancelAsync();
            try
            {
                await foreach (GeneratedToken token in engine.GenerateAsync(request, cancellation.Token))
                {
                    Assert.InRange(token.Id, 0, MadeUpModel.VocabularySize - 1);
                    if (--left == 0)
                        await cancellation.CancelAsync();
                }

                Interlocked.Increment(ref complete);
            }
            catch (OperationCanceledException)
            {
            }
        });
        await engine.DisposeAsync();
        Assert.Empty(trunk.Faults);
        engine.Pages.CheckIntegrity([]);
        Assert.Equal(12, engine.Pages.Available);
        Assert.InRange(complete, 5000, 9900);
    }

    [Fact]
    public async Task A_logits_processor_masks_tokens()
    {
        await using GenerationEngine engine = new(new FakeTrunk());
        GenerationRequest request = Requests.Make(1, 5, 30, new SamplingParameters(Temperature: 2)) with { LogitsProcessor = new OnlyMultiplesOf(7) };
        List<GeneratedToken> answer = await engine.Collect(request);
        Assert.All(answer, token => Assert.Equal(0, token.Id % 7));
        Assert.True(answer.Distinct().Count() > 3);
    }

    [Fact]
    public async Task A_request_whose_token_cannot_be_chosen_fails_alone()
    {
        await using GenerationEngine engine = new(new FakeTrunk());
        Task<List<GeneratedToken>> sound = engine.Collect(Requests.Make(2, 5, 50));
        foreach ((float value, string reason) in new[] { (float.NaN, "logit of token 0 is NaN"), (float.NegativeInfinity, "every logit is negative infinity") })
        {
            GenerationException error = await Assert.ThrowsAsync<GenerationException>(() => engine.Collect(Requests.Make(1, 5, 5) with { LogitsProcessor = new Filler(value) }));
            Assert.Equal(GenerationFailure.Failed, error.Failure);
            Assert.Contains(reason, error.Message);
        }

        Assert.Equal(50, (await sound).Count);
    }

    [Fact]
    public async Task A_sequence_is_enumerated_by_one_reader_only()
    {
        await using GenerationEngine engine = new(new FakeTrunk());
        IAsyncEnumerable<GeneratedToken> tokens = engine.GenerateAsync(Requests.Make(2, 5, 50));
        await Requests.Collect(tokens);
        await Assert.ThrowsAsync<InvalidOperationException>(() => Requests.Collect(tokens));
    }

    private static async Task DrainAsync(IAsyncEnumerator<GeneratedToken> tokens)
    {
        while (await tokens.MoveNextAsync().AsTask().WaitAsync(Requests.Patience))
        {
        }
    }

    private sealed class OnlyMultiplesOf(int factor) : ILogitsProcessor
    {
        public void Apply(ReadOnlySpan<int> tokens, int promptLength, Span<float> logits)
        {
            Assert.Equal(5, promptLength);
            Assert.True(tokens.Length >= promptLength);
            for (int id = 0; id < logits.Length; id++)
            {
                if (id % factor != 0)
                    logits[id] = float.NegativeInfinity;
            }
        }
    }

    private sealed class Filler(float value) : ILogitsProcessor
    {
        public void Apply(ReadOnlySpan<int> tokens, int promptLength, Span<float> logits) => logits.Fill(value);
    }
}
