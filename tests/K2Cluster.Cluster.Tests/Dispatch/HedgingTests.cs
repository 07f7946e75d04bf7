using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.Logging.Abstractions;

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
        _shards[1].InFlight = 9; // so that all is asked of the first
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
        _shards[1].InFlight = 9;
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
        ExpertDispatcher dispatcher = Make();
        ExpertBatch batch = Batches.Make(1, [[0, 5], [2, 3]]);
        for (int i = 0; i < 4; i++)
        {
            Run(dispatcher, batch);
            Batches.AssertDone(batch);
        }

        Assert.Equal(4, _shards[0].Frames.Count); // for the other experts
        Assert.Equal([4, 3, 3, 3], _shards[0].Frames.Select(frame => frame.Pairs));
        Assert.Equal(4, _shards[1].Frames.Count);
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

    private ExpertDispatcher Make(DispatchOptions? options = null)
    {
        _dispatchers.Add(new ExpertDispatcher(_shards.Board, _shards, options ?? Options, TimeProvider.System, NullLogger<ExpertDispatcher>.Instance));
        return _dispatchers[^1];
    }
}
