using System.Diagnostics.Metrics;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Dispatch;

/// <summary>Shards that are late, silent, or give what is no number.</summary>
public sealed class HedgingTests : IDisposable
{
    private static readonly ExpertGrid Grid = new(1, 2, 8);
    private static readonly DispatchOptions Options = new() { Patience = TimeSpan.FromSeconds(20), FirstHedge = TimeSpan.FromMilliseconds(30), FirstAvoidance = TimeSpan.FromMinutes(1), LongestAvoidance = TimeSpan.FromMinutes(1) };
    private readonly MadeUpChannels _shards = new(Grid);
    private readonly List<ExpertDispatcher> _dispatchers = [];

    public void Dispose() => _dispatchers.ForEach(dispatcher => dispatcher.Dispose());

    [Fact]
    public void A_late_call_is_asked_of_another_replica_and_its_shard_is_avoided_from_then_on()
    {
        _shards.Publish(2, _ => [0, 1]);
        CancellationToken token = default;
        _shards[0].Handle = (_, cancellation) =>
        {
            token = cancellation;
            return new TaskCompletionSource<ExpertReply>().Task;
        };
        _shards[1].PairsInFlight = 1000; // so that all is asked of the first
        ExpertDispatcher dispatcher = Make();
        ExpertBatch batch = Batches.Random(Grid, 4, 2, 1);
        Run(dispatcher, batch);

        Batches.AssertDone(batch);
        Assert.True(token.IsCancellationRequested); // who lost is told
        for (int i = 0; i < 5; i++)
        {
            Run(dispatcher, batch);
            Batches.AssertDone(batch);
        }

        Assert.Single(_shards[0].Frames);
        Assert.Equal(6, _shards[1].Frames.Count);
    }

    [Fact]
    public async Task The_first_answer_counts_also_when_it_is_the_late_one_s()
    {
        _shards.Publish(2, _ => [0, 1]);
        TaskCompletionSource<ExpertReply> late = new();
        ExpertFrame? held = null;
        _shards[0].Handle = (frame, _) =>
        {
            held = frame;
            return late.Task;
        };
        _shards[1].Handle = (_, _) => new TaskCompletionSource<ExpertReply>().Task;
        _shards[1].PairsInFlight = 1000;
        ExpertDispatcher dispatcher = Make();
        ExpertBatch batch = Batches.Random(Grid, 4, 2, 1);
        batch.Reset(batch.Layer, batch.Rows);
        ExpertTicket ticket = dispatcher.Submit(batch);
        Task collecting = Task.Run(() => dispatcher.Collect(ticket));
        await Eventually.TrueAsync(() => _shards[1].Frames.Count == 1, "the other replica is asked");
        late.SetResult(MadeUpChannels.Channel.Answer(held!));
        await collecting.WaitAsync(TimeSpan.FromSeconds(20));

        Batches.AssertDone(batch);
    }

    [Fact]
    public async Task A_call_whose_other_replica_is_late_as_well_is_asked_of_it_when_that_has_answered()
    {
        // The first is slow, the second dead. What the second has can be asked of the first only when that is not late any more.
        FakeTimeProvider time = new();
        _shards.Publish(2, _ => [0, 1]);
        TaskCompletionSource<ExpertReply> slow = new();
        ExpertFrame? held = null;
        _shards[0].Handle = (frame, _) => held is null && (held = frame) == frame ? slow.Task : null;
        _shards[1].Handle = (_, _) => new TaskCompletionSource<ExpertReply>().Task;
        ExpertBatch batch = Batches.Make(1, [[0, 1], [2, 3]]);
        Task collecting = CollectAsync(Make(time: time), batch);
        await Eventually.TrueAsync(() => _shards[0].Frames.Count == 1 && _shards[1].Frames.Count == 1, "both asked");
        time.Advance(Options.FirstHedge);
        await Eventually.TrueAsync(() => _shards[1].Frames.Count == 2, "the dead one asked for what the slow one has");
        Assert.Single(_shards[0].Frames);

        slow.SetResult(MadeUpChannels.Channel.Answer(held!));
        while (!collecting.IsCompleted)
        {
            time.Advance(Options.FirstHedge);
            await Task.Delay(1);
        }

        await collecting;
        Batches.AssertDone(batch);
        Assert.Equal(2, _shards[0].Frames.Count);
    }

    [Fact]
    public async Task What_has_no_other_replica_is_waited_for()
    {
        _shards.Publish(2, expert => expert % 2 == 0 ? [0] : [0, 1]);
        TaskCompletionSource<ExpertReply> late = new();
        ExpertFrame? held = null;
        _shards[0].Handle = (frame, _) =>
        {
            held = frame;
            return late.Task;
        };
        _shards[1].PairsInFlight = 1000; // so that all is asked of the first
        ExpertDispatcher dispatcher = Make();
        ExpertBatch batch = Batches.Make(1, [[0, 1], [2, 3]]);
        ExpertTicket ticket = dispatcher.Submit(batch);
        Task collecting = Task.Run(() => dispatcher.Collect(ticket));
        await Eventually.TrueAsync(() => _shards[1].Frames.Count == 1, "the other replica is asked for what it has");
        Assert.False(collecting.IsCompleted);
        late.SetResult(MadeUpChannels.Channel.Answer(held!));
        await collecting.WaitAsync(TimeSpan.FromSeconds(20));

        Batches.AssertDone(batch);
        Assert.Equal((2, 2, 1L), Assert.Single(_shards[1].Frames));
        Assert.Single(_shards[0].Frames);
    }

    [Fact]
    public async Task A_late_call_is_asked_of_another_replica_also_by_a_plan_that_came_after_it()
    {
        FakeTimeProvider time = new();
        _shards.Publish(3, _ => [1, 2]);
        _shards[1].Handle = (_, _) => new TaskCompletionSource<ExpertReply>().Task;
        _shards[2].PairsInFlight = 1000; // so that all is asked of the second
        ExpertDispatcher dispatcher = Make(time: time);
        ExpertBatch batch = Batches.Random(Grid, 4, 2, 1);
        Task collecting = CollectAsync(dispatcher, batch);
        _shards.Publish(3, _ => [1, 2], first: 1); // each has another index now
        time.Advance(Options.FirstHedge);
        await collecting.WaitAsync(TimeSpan.FromSeconds(20));

        Batches.AssertDone(batch);
        Assert.Single(_shards[1].Frames);
        Assert.Single(_shards[2].Frames);
        Run(dispatcher, batch);
        Assert.Single(_shards[1].Frames); // it is avoided
    }

    [Fact]
    public async Task A_late_call_to_a_shard_that_has_left_the_plan_is_asked_of_the_one_that_is_left()
    {
        FakeTimeProvider time = new();
        _shards.Publish(2, _ => [0]);
        _shards[0].Handle = (_, _) => new TaskCompletionSource<ExpertReply>().Task;
        ExpertBatch batch = Batches.Random(Grid, 4, 2, 1);
        Task collecting = CollectAsync(Make(time: time), batch);
        _shards.Publish(2, _ => [1], first: 1);
        time.Advance(Options.FirstHedge);
        await collecting.WaitAsync(TimeSpan.FromSeconds(20));

        Batches.AssertDone(batch);
        Assert.Single(_shards[1].Frames);
    }

    [Fact]
    public async Task A_call_whose_other_replica_a_plan_takes_away_is_waited_for_without_a_spin()
    {
        FakeTimeProvider time = new();
        _shards.Publish(2, _ => [0, 1]);
        TaskCompletionSource<ExpertReply> late = new();
        ExpertFrame? held = null;
        _shards[0].Handle = (frame, _) =>
        {
            held = frame;
            return late.Task;
        };
        _shards[1].PairsInFlight = 1000;
        ExpertBatch batch = Batches.Random(Grid, 4, 2, 1);
        Task collecting = CollectAsync(Make(time: time), batch);
        _shards.Publish(2, _ => [0]);
        time.Advance(2 * Options.FirstHedge);
        int before = _shards[0].Looks;
        await Eventually.TrueAsync(() => _shards[0].Looks > before + 1, "the batch looks at its call");
        late.SetResult(MadeUpChannels.Channel.Answer(held!));
        await collecting.WaitAsync(TimeSpan.FromSeconds(20));

        Batches.AssertDone(batch);
        Assert.Empty(_shards[1].Frames);
        Assert.InRange(_shards[0].Looks - before, 1, 100); // a spin makes thousands
    }

    [Fact]
    public void What_has_no_other_replica_is_asked_again_when_the_late_call_fails()
    {
        _shards.Publish(2, expert => expert % 2 == 0 ? [0] : [0, 1]);
        TaskCompletionSource<ExpertReply> late = new();
        int calls = 0;
        _shards[0].Handle = (_, _) => calls++ == 0 ? late.Task : null;
        _shards[1].Handle = (_, _) =>
        {
            late.TrySetException(new ShardUnavailableException(MadeUpChannels.Shard(0), "it is dead"));
            return null;
        };
        _shards[1].PairsInFlight = 1000;
        ExpertBatch batch = Batches.Make(1, [[0, 1], [2, 3]]);
        Run(Make(), batch);

        Batches.AssertDone(batch);
        Assert.Equal((2, 2, 1L), _shards[0].Frames.Last());
    }

    [Fact]
    public void A_call_to_a_shard_that_falls_silent_is_given_up_and_sent_again_when_it_is_back()
    {
        _shards.Publish(1, _ => [0]);
        int calls = 0;
        _shards[0].Handle = (_, _) =>
        {
            _shards[0].IsSilent = calls++ == 0;
            if (calls > 1)
                return null;
            return new TaskCompletionSource<ExpertReply>().Task;
        };
        ExpertBatch batch = Batches.Random(Grid, 2, 2, 1);
        Run(Make(Options with { CallTimeout = TimeSpan.FromMinutes(5), Limit = TimeSpan.FromMinutes(5) }), batch);

        Batches.AssertDone(batch);
        Assert.Equal(2, calls);
    }

    [Fact]
    public void At_most_a_share_of_the_calls_is_hedged()
    {
        _shards.Publish(2, _ => [0, 1]);
        foreach (int slot in new[] { 0, 1 })
            _shards[slot].Handle = async (frame, _) =>
            {
                await Task.Delay(20, CancellationToken.None); // one that was given up answers all the same
                return MadeUpChannels.Channel.Answer(frame);
            };
        _shards[1].PairsInFlight = 1000;
        ExpertDispatcher dispatcher = Make(Options with { FirstHedge = TimeSpan.FromMilliseconds(1), ShortestHedge = TimeSpan.FromMilliseconds(1), HedgePercent = 0, FirstAvoidance = TimeSpan.Zero });
        ExpertBatch batch = Batches.Random(Grid, 4, 2, 1);
        for (int i = 0; i < 40; i++)
        {
            Run(dispatcher, batch);
            Batches.AssertDone(batch);
        }

        Assert.InRange(_shards[0].Frames.Count + _shards[1].Frames.Count, 40, 40 + 16);
    }

    [Fact]
    public void A_replica_that_gives_NaN_is_not_asked_again_and_another_answers()
    {
        _shards.Publish(2, _ => [0, 1]);
        _shards[0].Handle = (frame, _) => Task.FromResult(WithNaN(frame, 5));
        _shards[1].PairsInFlight = 1000; // so that all is asked of the first
        using LogLines log = new();
        ExpertDispatcher dispatcher = Make(log: LoggerFactory.Create(builder => builder.AddProvider(log)).CreateLogger<ExpertDispatcher>());
        ExpertBatch batch = Batches.Make(1, [[0, 5], [2, 3]]);
        List<string> counted = [];
        using (CountFaults(counted))
        {
            for (int i = 0; i < 4; i++)
            {
                Run(dispatcher, batch);
                Batches.AssertDone(batch);
            }
        }

        Assert.Equal([4, 3, 3, 3], _shards[0].Frames.Select(frame => frame.Pairs)); // for the other experts
        Assert.Equal(4, _shards[1].Frames.Count);
        Assert.Equal([(5, true)], _shards[0].Suspected); // the other replica had better numbers
        Assert.Empty(_shards[1].Suspected);
        Assert.Equal(["m/s/0 1 5"], counted);
        Assert.Contains("check the memory of its device", Assert.Single(log.Lines, line => line.Contains("NaN")));
    }

    [Fact]
    public void The_only_replica_is_told_at_once_and_its_row_waits_for_it()
    {
        _shards.Publish(1, _ => [0]);
        _shards[0].Handle = (frame, _) => Task.FromResult(WithNaN(frame, 5));
        ExpertDispatcher dispatcher = Make(Options with { Patience = TimeSpan.Zero });
        ExpertBatch batch = Batches.Make(1, [[0, 5], [2, 3]]);
        for (int i = 0; i < 2; i++)
        {
            Run(dispatcher, batch);
            Assert.Equal([RowStatus.Unavailable, RowStatus.Done], batch.Statuses.ToArray());
        }

        Assert.Equal([(5, false)], _shards[0].Suspected);
        Assert.Equal([4, 3], _shards[0].Frames.Select(frame => frame.Pairs));
    }

    [Fact]
    public void The_only_replica_that_gives_NaN_again_fails_that_row_and_goes_on_to_be_asked()
    {
        FakeTimeProvider time = new();
        _shards.Publish(1, _ => [0]);
        ExpertDispatcher dispatcher = Make(Options with { Patience = TimeSpan.Zero }, time: time);
        ExpertBatch batch = Batches.Make(1, [[0, 5], [2, 3]]);
        Assert.Equal(RowStatus.Unavailable, Ask(finite: false));
        time.Advance(ExpertFaults.Quarantine);
        for (int i = 0; i < 2; i++)
        {
            Assert.Equal(RowStatus.Failed, Ask(finite: false));
            Assert.Equal(RowStatus.Failed, Ask(finite: false));
            Assert.Contains($"on shard {MadeUpChannels.Shard(0)} again", batch.Problem);
            Assert.Equal(RowStatus.Done, Ask(finite: true)); // other requests do not wait
            time.Advance(ExpertFaults.Quarantine);
        }

        Assert.Equal([(5, false), (5, false), (5, false)], _shards[0].Suspected); // once in each while

        Assert.Equal(RowStatus.Failed, Ask(finite: false));
        _shards.Publish(2, _ => [0, 1]);
        _shards[1].PairsInFlight = 1000;
        Assert.Equal(RowStatus.Done, Ask(finite: false)); // by the other one that it has now
        Assert.Equal((1, 1, 1L), Assert.Single(_shards[1].Frames));

        RowStatus Ask(bool finite)
        {
            _shards[0].Handle = finite ? null : (frame, _) => Task.FromResult(WithNaN(frame, 5));
            Run(dispatcher, batch);
            Assert.Equal(RowStatus.Done, batch.Statuses.Span[1]);
            return batch.Statuses.Span[0];
        }
    }

    [Fact]
    public void Where_two_replicas_give_NaN_the_input_is_to_blame_and_its_row_fails_alone()
    {
        _shards.Publish(2, _ => [0, 1]);
        foreach (int slot in new[] { 0, 1 })
            _shards[slot].Handle = (frame, _) => Task.FromResult(WithNaN(frame, 5));
        ExpertDispatcher dispatcher = Make();
        ExpertBatch batch = Batches.Make(1, [[0, 5], [2, 3]]);
        Run(dispatcher, batch);

        Assert.Equal([RowStatus.Failed, RowStatus.Done], batch.Statuses.ToArray());
        Assert.Contains("no finite numbers for this input, on two shards", batch.Problem);
        Assert.Empty(_shards[0].Suspected.Concat(_shards[1].Suspected));
        _shards[0].Handle = _shards[1].Handle = null;
        Run(dispatcher, batch);
        Batches.AssertDone(batch); // neither is quarantined
    }

    [Fact]
    public void Sending_and_taking_allocates_little_more_than_the_frames()
    {
        _shards.Publish(2, expert => [expert % 2]);
        ExpertDispatcher dispatcher = Make();
        ExpertBatch batch = Batches.Random(Grid, 4, 2, 1);
        for (int i = 0; i < 50; i++)
            Run(dispatcher, batch);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
            Run(dispatcher, batch);

        // Two frames and two replies with their place in the test's list.
        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / 100, 0, 700);
    }

    /// <summary>"shard layer expert" of each fault that is counted.</summary>
    private static MeterListener CountFaults(List<string> counted)
    {
        MeterListener listener = new() { InstrumentPublished = (instrument, self) => self.EnableMeasurementEvents(instrument) };
        listener.SetMeasurementEventCallback<long>((instrument, _, tags, _) =>
        {
            if (instrument.Name == "k2.expert.faults")
                counted.Add(string.Join(' ', tags.ToArray().Select(tag => tag.Value)));
        });
        listener.Start();
        return listener;
    }

    private static ExpertReply WithNaN(ExpertFrame frame, int expert)
    {
        int[] experts = new int[frame.Pairs];
        ReadOnlySpan<int> pairs = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(frame.Payload.Span[(frame.Rows * frame.HiddenSize * 2)..]);
        for (int i = 0; i < experts.Length; i++)
            experts[i] = pairs[(2 * i) + 1];
        ExpertReply reply = MadeUpChannels.Channel.Answer(frame);
        Span<ushort> outputs = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ushort>(reply.Payload.Span[ExpertReply.StatusLength(reply.Pairs)..]);
        for (int i = 0; i < experts.Length; i++)
        {
            if (experts[i] == expert)
                outputs[((i + 1) * reply.HiddenSize) - 1] = 0x7FC0;
        }

        return reply;
    }

    private static void Run(ExpertDispatcher dispatcher, ExpertBatch batch)
    {
        batch.Reset(batch.Layer, batch.Rows);
        dispatcher.Collect(dispatcher.Submit(batch));
    }

    private static Task CollectAsync(ExpertDispatcher dispatcher, ExpertBatch batch)
    {
        batch.Reset(batch.Layer, batch.Rows);
        ExpertTicket ticket = dispatcher.Submit(batch);
        return Task.Run(() => dispatcher.Collect(ticket));
    }

    private ExpertDispatcher Make(DispatchOptions? options = null, ILogger<ExpertDispatcher>? log = null, TimeProvider? time = null)
    {
        _dispatchers.Add(new ExpertDispatcher(_shards.Board, _shards, options ?? Options, time ?? TimeProvider.System, log ?? NullLogger<ExpertDispatcher>.Instance));
        return _dispatchers[^1];
    }
}
