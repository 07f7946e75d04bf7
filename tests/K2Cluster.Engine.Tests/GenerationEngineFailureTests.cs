using K2Cluster.Engine.Tests.Fakes;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Engine.Tests;

public sealed class GenerationEngineFailureTests
{
    [Fact]
    public async Task A_request_ends_when_its_time_is_up()
    {
        FakeTimeProvider time = new();
        FakeTrunk trunk = new() { BeforeRun = _ => time.Advance(TimeSpan.FromSeconds(1)) };
        await using GenerationEngine engine = new(trunk, time: time);
        List<GeneratedToken> received = [];
        GenerationException error = await Assert.ThrowsAsync<GenerationException>(async () =>
        {
            await foreach (GeneratedToken token in engine.GenerateAsync(Requests.Make(1, 5, 1000, limit: TimeSpan.FromSeconds(10))))
                received.Add(token);
        });
        Assert.Equal(GenerationFailure.TimedOut, error.Failure);
        Assert.Contains("10 of 1000 tokens", error.Message);
        Assert.Equal(10, received.Count);
        Assert.Equal(2, (await engine.Collect(Requests.WholePool(engine))).Count);
    }

    [Fact]
    public async Task A_waiting_request_ends_when_its_time_is_up()
    {
        FakeTimeProvider time = new();
        using ManualResetEventSlim submitted = new();
        FakeTrunk trunk = new()
        {
            BeforeRun = _ =>
            {
                submitted.Wait(Requests.Patience);
                time.Advance(TimeSpan.FromSeconds(1));
            },
        };
        await using GenerationEngine engine = new(trunk, new EngineOptions { MaxRunning = 1 }, time);
        Task<List<GeneratedToken>> running = engine.Collect(Requests.Make(1, 5, 200));
        Task<List<GeneratedToken>> waiting = engine.Collect(Requests.Make(2, 5, 1, limit: TimeSpan.FromSeconds(10)));
        submitted.Set();
        GenerationException error = await Assert.ThrowsAsync<GenerationException>(() => waiting);
        Assert.Contains("waiting for a place", error.Message);
        Assert.Equal(200, (await running).Count);
    }

    [Fact]
    public async Task Unavailable_experts_are_asked_again_with_pauses_until_the_time_limit_and_the_error_says_why()
    {
        FakeTrunk trunk = new() { Status = (_, _) => RowStatus.Unavailable };
        await using GenerationEngine engine = new(trunk, time: new SteppingTime());
        GenerationException error = await Assert.ThrowsAsync<GenerationException>(() => engine.Collect(Requests.Make(1, 5, 5, limit: TimeSpan.FromMinutes(1))));
        Assert.Equal(GenerationFailure.TimedOut, error.Failure);
        Assert.Contains("expert 7 of layer 1 is held by nobody", error.Message);
        Assert.InRange(trunk.Runs, 60, 70);
    }

    [Fact]
    public async Task A_sequence_without_experts_waits_while_the_others_go_on()
    {
        bool restored = false;
        FakeTrunk trunk = new();
        trunk.Status = (batch, i) => trunk.FirstToken(batch, i) == 1 && !Volatile.Read(ref restored) ? RowStatus.Unavailable : RowStatus.Done;
        await using GenerationEngine engine = new(trunk, new EngineOptions { MaxRetryDelay = TimeSpan.FromMilliseconds(20) });
        GenerationRequest parked = Requests.Make(1, 70, 20, new SamplingParameters(Seed: 4));
        Task<List<GeneratedToken>> late = engine.Collect(parked);
        Assert.Equal(500, (await engine.Collect(Requests.Make(2, 5, 500))).Count);
        Assert.False(late.IsCompleted);
        Volatile.Write(ref restored, true);
        Assert.Equal(MadeUpModel.Answer(parked, 20), await late);
        Assert.Empty(trunk.Faults);
    }

    [Fact]
    public async Task A_sequence_whose_experts_are_back_does_not_wait_for_the_end_of_its_pause()
    {
        bool restored = false;
        TaskCompletionSource postponed = new();
        FakeTrunk trunk = new()
        {
            Status = (_, _) =>
            {
                if (Volatile.Read(ref restored))
                    return RowStatus.Done;
                postponed.TrySetResult();
                return RowStatus.Unavailable;
            },
        };
        EngineOptions options = new() { RetryDelay = TimeSpan.FromMinutes(1), MaxRetryDelay = TimeSpan.FromMinutes(1) };
        await using GenerationEngine engine = new(trunk, options, new FakeTimeProvider()); // whose pauses never end
        GenerationRequest parked = Requests.Make(1, 70, 20);
        Task<List<GeneratedToken>> answer = engine.Collect(parked);
        await postponed.Task;
        Volatile.Write(ref restored, true);
        engine.RetryNow();
        Assert.Equal(MadeUpModel.Answer(parked, 20), await answer);
    }

    [Fact]
    public async Task A_failed_sequence_fails_alone()
    {
        FakeTrunk trunk = new();
        trunk.Status = (batch, i) => trunk.FirstToken(batch, i) == 1 ? RowStatus.Failed : RowStatus.Done;
        await using GenerationEngine engine = new(trunk);
        Task<List<GeneratedToken>> sound = engine.Collect(Requests.Make(2, 5, 50));
        GenerationException error = await Assert.ThrowsAsync<GenerationException>(() => engine.Collect(Requests.Make(1, 5, 5)));
        Assert.Equal(GenerationFailure.Failed, error.Failure);
        Assert.Contains("expert 7", error.Message);
        Assert.Equal(50, (await sound).Count);
        Assert.Equal(2, (await engine.Collect(Requests.WholePool(engine))).Count);
    }

    [Fact]
    public async Task A_trunk_that_throws_ends_the_requests_of_that_step_and_no_others()
    {
        FakeTrunk trunk = new();
        trunk.BeforeRun = batch =>
        {
            if (Enumerable.Range(0, batch.Sequences.Count).Any(i => trunk.FirstToken(batch, i) == 1))
                throw new IOException("the device went away");
        };
        await using GenerationEngine engine = new(trunk, new EngineOptions { MaxRunning = 1 });
        Task<List<GeneratedToken>>[] failing = [.. Enumerable.Range(0, 20).Select(_ => engine.Collect(Requests.Make(1, 5, 5)))];
        Task<List<GeneratedToken>> next = engine.Collect(Requests.Make(2, 5, 50));
        foreach (Task<List<GeneratedToken>> task in failing)
        {
            GenerationException error = await Assert.ThrowsAsync<GenerationException>(() => task);
            Assert.Equal(GenerationFailure.Failed, error.Failure);
            Assert.Contains("the device went away", error.Message);
            Assert.IsType<IOException>(error.InnerException);
        }

        Assert.Equal(50, (await next).Count);
        Assert.Equal(20 + 50, trunk.Runs);
    }

    [Fact]
    public async Task Disposal_lets_running_requests_end_and_refuses_the_rest()
    {
        using ManualResetEventSlim entered = new();
        using ManualResetEventSlim gate = new();
        FakeTrunk trunk = new() { BeforeRun = _ => { entered.Set(); gate.Wait(Requests.Patience); } };
        GenerationEngine engine = new(trunk, new EngineOptions { MaxRunning = 1 });
        Task<List<GeneratedToken>> running = engine.Collect(Requests.Make(1, 5, 30));
        Assert.True(entered.Wait(Requests.Patience));
        Task<List<GeneratedToken>> waiting = engine.Collect(Requests.Make(2, 5, 30));

        Task disposal = engine.DisposeAsync().AsTask();

        GenerationException refused = Assert.Throws<GenerationException>(() => engine.GenerateAsync(Requests.Make(3, 5, 30)));
        Assert.Equal(GenerationFailure.Stopped, refused.Failure);
        Assert.False(engine.Completion.IsCompleted);
        gate.Set();
        await disposal.WaitAsync(Requests.Patience);
        Assert.True(engine.Completion.IsCompletedSuccessfully);
        Assert.Equal(30, (await running).Count);
        Assert.Equal(GenerationFailure.Stopped, (await Assert.ThrowsAsync<GenerationException>(() => waiting)).Failure);
        Assert.Equal(trunk.PageCount, engine.Pages.Available);
        await engine.DisposeAsync();
    }

    [Fact]
    public async Task Disposal_ends_running_requests_when_the_grace_is_over()
    {
        SteppingTime time = new();
        int steps = 0;
        using ManualResetEventSlim disposing = new();
        using ManualResetEventSlim entered = new();
        FakeTrunk trunk = new()
        {
            BeforeRun = _ =>
            {
                entered.Set();
                disposing.Wait(Requests.Patience);
                time.Advance(TimeSpan.FromSeconds(1));
                steps++;
            },
        };
        GenerationEngine engine = new(trunk, new EngineOptions { StopGrace = TimeSpan.FromSeconds(5) }, time);
        Task<List<GeneratedToken>> running = engine.Collect(Requests.Make(1, 5, 1000));
        Assert.True(entered.Wait(Requests.Patience));
        Task disposal = engine.DisposeAsync().AsTask();
        disposing.Set();
        await disposal.WaitAsync(Requests.Patience);
        Assert.Equal(GenerationFailure.Stopped, (await Assert.ThrowsAsync<GenerationException>(() => running)).Failure);
        Assert.Equal(5, steps);
        Assert.Equal(trunk.PageCount, engine.Pages.Available);
    }

    [Fact]
    public async Task Disposal_ends_an_idle_engine_and_one_whose_experts_are_gone()
    {
        GenerationEngine idle = new(new FakeTrunk());
        await idle.DisposeAsync().AsTask().WaitAsync(Requests.Patience);
        Assert.True(idle.Completion.IsCompletedSuccessfully);

        FakeTrunk trunk = new() { Status = (_, _) => RowStatus.Unavailable };
        GenerationEngine parked = new(trunk, new EngineOptions { StopGrace = TimeSpan.FromMilliseconds(50) });
        Task<List<GeneratedToken>> running = parked.Collect(Requests.Make(1, 5, 1000));
        await parked.DisposeAsync().AsTask().WaitAsync(Requests.Patience);
        Assert.Equal(GenerationFailure.Stopped, (await Assert.ThrowsAsync<GenerationException>(() => running)).Failure);
    }

    [Fact]
    public async Task A_fault_of_the_engine_itself_ends_every_request_and_is_told()
    {
        FakeTrunk trunk = new() { Status = (_, _) => RowStatus.Unavailable };
        await using GenerationEngine engine = new(trunk, time: new SteppingTime { Broken = new InvalidOperationException("no timer") });
        GenerationException error = await Assert.ThrowsAsync<GenerationException>(() => engine.Collect(Requests.Make(1, 5, 5)));
        Assert.Equal(GenerationFailure.Failed, error.Failure);
        Assert.Contains("no timer", error.Message);
        await Assert.ThrowsAsync<InvalidOperationException>(() => engine.Completion.WaitAsync(Requests.Patience));
        Assert.Throws<GenerationException>(() => engine.GenerateAsync(Requests.Make(1, 5, 5)));
    }
}
