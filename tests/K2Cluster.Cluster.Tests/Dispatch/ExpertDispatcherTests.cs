using System.Collections.Concurrent;
using System.Diagnostics;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using K2Cluster.Telemetry;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Cluster.Tests.Dispatch;

public sealed class ExpertDispatcherTests : IDisposable
{
    private static readonly ExpertGrid Grid = new(1, 2, 8);
    private static readonly DispatchOptions Impatient = new() { Patience = TimeSpan.FromMilliseconds(100), CallTimeout = TimeSpan.FromMilliseconds(300) };

    // What is not about time must not depend on how busy the machine is.
    private static readonly DispatchOptions Patient = new() { Patience = TimeSpan.FromSeconds(10) };
    private readonly MadeUpChannels _shards = new(Grid);
    private readonly ListLogger _log = new();
    private readonly List<ExpertDispatcher> _dispatchers = [];

    public void Dispose() => _dispatchers.ForEach(dispatcher => dispatcher.Dispose());

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Answers_come_to_their_row_and_place_whatever_the_number_of_shards(int slots)
    {
        _shards.Publish(slots, expert => [expert % slots]);
        ExpertDispatcher dispatcher = Make();
        for (int seed = 0; seed < 20; seed++)
        {
            ExpertBatch batch = Batches.Random(Grid, rows: 1 + seed, expertsPerToken: 3, seed);
            dispatcher.Collect(dispatcher.Submit(batch));
            Batches.AssertDone(batch);
        }
    }

    [Fact]
    public void A_shard_gets_one_frame_with_each_row_once()
    {
        _shards.Publish(2, expert => [expert % 2]);
        ExpertBatch batch = Batches.Make(1, [[0, 2, 4], [1, 3, 5], [0, 1, 2]]);
        Run(Make(), batch);

        Assert.Equal((2, 5, 1L), Assert.Single(_shards[0].Frames));
        Assert.Equal((2, 4, 1L), Assert.Single(_shards[1].Frames));
    }

    [Fact]
    public void A_batch_that_is_too_large_for_a_frame_goes_out_in_several()
    {
        const int hiddenSize = 32768;
        _shards.Publish(1, _ => [0]);
        ExpertBatch batch = new(300, hiddenSize, 2);
        batch.Reset(1, 300);
        batch.ExpertIds.Span.Fill(3);
        Run(Make(), batch);

        Assert.Equal(600, _shards[0].Frames.Sum(frame => frame.Pairs));
        Assert.All(_shards[0].Frames, frame => Assert.True(FrameLimits.AllowPairs(frame.Pairs, hiddenSize)));
        Assert.True(batch.Statuses.Span.IndexOfAnyExcept(RowStatus.Done) < 0);
    }

    [Fact]
    public void Batches_are_in_flight_together_and_are_collected_in_any_order()
    {
        _shards.Publish(1, _ => [0]);
        List<(ExpertFrame Frame, TaskCompletionSource<ExpertReply> Reply)> open = [];
        _shards[0].Handle = (frame, _) =>
        {
            open.Add((frame, new TaskCompletionSource<ExpertReply>()));
            return open[^1].Reply.Task;
        };
        ExpertDispatcher dispatcher = Make();
        ExpertBatch[] batches = [.. Enumerable.Range(0, dispatcher.MaxInFlight).Select(seed => Batches.Random(Grid, 4, 2, seed))];
        ExpertTicket[] tickets = [.. batches.Select(dispatcher.Submit)];

        Assert.True(open.Count >= 2);
        Assert.Equal(dispatcher.MaxInFlight, open.Count); // all are on their way before any is answered
        Assert.Throws<InvalidOperationException>(() => dispatcher.Submit(Batches.Random(Grid, 1, 1, 9)));
        foreach ((ExpertFrame frame, TaskCompletionSource<ExpertReply> reply) in open)
            reply.SetResult(MadeUpChannels.Channel.Answer(frame));

        foreach (int i in new[] { 2, 0, 3, 1 })
        {
            dispatcher.Collect(tickets[i]);
            Batches.AssertDone(batches[i]);
        }

        Assert.Throws<InvalidOperationException>(() => dispatcher.Collect(tickets[0]));
    }

    [Fact]
    public void A_batch_in_flight_cannot_be_submitted_again()
    {
        _shards.Publish(1, _ => [0]);
        ExpertDispatcher dispatcher = Make();
        ExpertBatch batch = Batches.Random(Grid, 1, 1, 1);
        ExpertTicket ticket = dispatcher.Submit(batch);

        Assert.Throws<InvalidOperationException>(() => dispatcher.Submit(batch));
        dispatcher.Collect(ticket);
        Run(dispatcher, batch);
        Batches.AssertDone(batch);
    }

    [Fact]
    public void One_row_fails_without_the_others()
    {
        _shards.Publish(2, expert => [expert % 2]);
        _shards[1].Handle = (frame, _) => Task.FromResult(MadeUpChannels.Channel.Answer(frame, expert => expert == 5 ? PairStatus.Failed : PairStatus.Done));
        ExpertBatch batch = Batches.Make(1, [[0, 1], [2, 5], [3, 4]]);
        Run(Make(), batch);

        Assert.Equal([RowStatus.Done, RowStatus.Failed, RowStatus.Done], batch.Statuses.ToArray());
        Batches.AssertDone(batch, 0);
        Batches.AssertDone(batch, 2);
        Assert.Contains("failed on expert 5 of layer 1: made up", batch.Problem);
        Assert.Single(_shards[1].Frames); // a replay would meet it again: no second try
    }

    [Fact]
    public void A_shard_that_dies_under_the_call_is_replaced_by_the_next_plan()
    {
        _shards.Publish(2, expert => [expert % 2]);
        _shards[1].Handle = (_, _) =>
        {
            _shards.Publish(1, _ => [0]);
            return Task.FromException<ExpertReply>(new ShardUnavailableException(MadeUpChannels.Shard(1), "it is dead"));
        };
        ExpertBatch batch = Batches.Random(Grid, 6, 3, 1);
        Run(Make(), batch);

        Batches.AssertDone(batch);
        Assert.Single(_shards[1].Frames);
    }

    [Fact]
    public void A_replica_takes_over_at_once_and_without_a_new_plan()
    {
        _shards.Publish(2, _ => [0, 1]);
        _shards[0].Handle = (_, _) => throw new InvalidOperationException("broken");
        ExpertBatch batch = Batches.Random(Grid, 4, 2, 1);
        Run(Make(), batch);

        Batches.AssertDone(batch);
    }

    [Fact]
    public void The_replica_with_the_least_in_flight_is_asked()
    {
        _shards.Publish(3, _ => [0, 1, 2]);
        (_shards[0].PairsInFlight, _shards[1].PairsInFlight, _shards[2].PairsInFlight) = (300, 100, 200);
        Run(Make(), Batches.Random(Grid, 4, 2, 1));

        Assert.Empty(_shards[0].Frames);
        Assert.Single(_shards[1].Frames);
        Assert.Empty(_shards[2].Frames);
    }

    [Fact]
    public void What_goes_out_together_is_shared_out_over_replicas_and_an_expert_is_read_by_one_of_them_only()
    {
        _shards.Publish(2, _ => [0, 1]);
        Run(Make(), Batches.Make(1, [[0, 1], [2, 0]]));
        Run(Make(), Batches.Make(1, [[0, 1], [2, 3]]));

        Assert.Equal([(2, 2, 1L), (2, 2, 1L)], _shards[0].Frames);
        Assert.Equal([(2, 2, 1L), (2, 2, 1L)], _shards[1].Frames);
    }

    [Fact]
    public async Task Experts_not_held_are_asked_again_under_the_next_plan_and_the_others_are_not()
    {
        _shards.Publish(2, expert => [expert % 2]);
        _shards[1].Handle = (frame, _) => Task.FromResult(MadeUpChannels.Channel.Answer(frame, expert => expert == 5 ? PairStatus.NotHeld : PairStatus.Done));
        ExpertBatch batch = Batches.Make(1, [[0, 1], [5, 3]]);
        ExpertDispatcher dispatcher = Make();
        ExpertTicket ticket = dispatcher.Submit(batch);
        Task collecting = Task.Run(() => dispatcher.Collect(ticket));
        await Eventually.TrueAsync(() => _shards[1].Frames.Count > 1, "a second try at the same shard");
        _shards.Publish(3, expert => [expert % Grid.Experts == 5 ? 2 : expert % 2]);
        await collecting.WaitAsync(TimeSpan.FromSeconds(20));

        Batches.AssertDone(batch);
        Assert.Equal((1, 1, 1L), Assert.Single(_shards[2].Frames));
        Assert.Single(_shards[0].Frames);
        Assert.Equal((1, 1, 1L), _shards[1].Frames.Last());
    }

    [Fact]
    public void A_restarted_shard_is_asked_again_in_its_new_life()
    {
        _shards.Publish(1, _ => [0], incarnation: 1);
        _shards[0].Handle = (frame, _) =>
        {
            if (frame.Incarnation == 2)
                return null;
            _shards.Publish(1, _ => [0], incarnation: 2);
            return Task.FromResult(new ExpertReply { Status = ReplyStatus.WrongIncarnation, Pairs = 0, HiddenSize = 0 });
        };
        ExpertBatch batch = Batches.Random(Grid, 3, 2, 1);
        Run(Make(), batch);

        Batches.AssertDone(batch);
        Assert.Equal([1L, 2L], _shards[0].Frames.Select(frame => frame.Incarnation));
    }

    [Fact]
    public void A_busy_shard_is_asked_again()
    {
        _shards.Publish(1, _ => [0]);
        int busy = 3;
        _shards[0].Handle = (_, _) => busy-- > 0 ? Task.FromResult(new ExpertReply { Status = ReplyStatus.Busy, Pairs = 0, HiddenSize = 0 }) : null;
        ExpertBatch batch = Batches.Random(Grid, 3, 2, 1);
        Run(Make(), batch);

        Batches.AssertDone(batch);
    }

    [Theory]
    [InlineData("pairs")]
    [InlineData("hidden size")]
    [InlineData("length")]
    [InlineData("status")]
    [InlineData("pair status")]
    public void A_malformed_reply_counts_as_a_failed_call_and_touches_no_row(string what)
    {
        _shards.Publish(1, _ => [0]);
        _shards[0].Handle = (frame, _) =>
        {
            int pairs = frame.Pairs + (what == "pairs" ? 1 : 0);
            int hiddenSize = frame.HiddenSize * (what == "hidden size" ? 2 : 1);
            ExpertReply reply = new() { Status = what == "status" ? (ReplyStatus)77 : ReplyStatus.Computed, Pairs = pairs, HiddenSize = hiddenSize };
            reply.Rent(ExpertReply.PayloadLength(pairs, hiddenSize) - (what == "length" ? 2 : 0));
            reply.Payload.Span.Fill((byte)(what == "pair status" ? 0 : PairStatus.Done));
            return Task.FromResult(reply);
        };
        ExpertBatch batch = Batches.Random(Grid, 3, 2, 1);
        Run(Make(Impatient with { Patience = TimeSpan.FromMilliseconds(500) }), batch);

        Assert.Equal(Enumerable.Repeat(RowStatus.Unavailable, 3), batch.Statuses.ToArray());
        Assert.Contains("malformed reply", batch.Problem);
        Assert.True(batch.Outputs.Span.IndexOfAnyExcept((ushort)0) < 0);
        Assert.True(_shards[0].Frames.Count > 1);
    }

    [Fact]
    public void When_patience_is_at_its_end_the_rows_are_unavailable_and_the_others_done()
    {
        _shards.Publish(2, expert => [expert % 2]);
        _shards[1].Handle = (_, _) => Task.FromException<ExpertReply>(new ShardUnavailableException(MadeUpChannels.Shard(1), "it is dead"));
        ExpertBatch batch = Batches.Make(1, [[0, 2], [2, 3], [4, 6]]);
        long start = Stopwatch.GetTimestamp();
        Run(Make(Impatient), batch);

        Assert.Equal([RowStatus.Done, RowStatus.Unavailable, RowStatus.Done], batch.Statuses.ToArray());
        Batches.AssertDone(batch, 0);
        Batches.AssertDone(batch, 2);
        Assert.Contains("it is dead", batch.Problem);
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 100, 5000);
        Assert.InRange(_shards[1].Frames.Count, 2, 10); // bounded back-off
    }

    [Fact]
    public void Without_a_plan_or_a_replica_rows_are_unavailable_with_the_reason()
    {
        ExpertBatch batch = Batches.Random(Grid, 2, 2, 1);
        Run(Make(Impatient), batch);
        Assert.Equal([RowStatus.Unavailable, RowStatus.Unavailable], batch.Statuses.ToArray());
        Assert.Equal("waiting for a placement plan", batch.Problem);

        _shards.Publish(1, _ => []);
        Run(Make(Impatient), batch);
        Assert.Equal([RowStatus.Unavailable, RowStatus.Unavailable], batch.Statuses.ToArray());
        Assert.Contains("is on no shard", batch.Problem);
    }

    [Fact]
    public void A_call_that_never_returns_ends_by_the_time_limit_and_its_late_answer_touches_nothing()
    {
        _shards.Publish(1, _ => [0]);
        TaskCompletionSource<ExpertReply> never = new();
        CancellationToken token = default;
        ExpertFrame? held = null;
        _shards[0].Handle = (frame, cancellation) =>
        {
            if (held is not null)
                return null;
            (held, token) = (frame, cancellation);
            return never.Task;
        };
        ExpertBatch batch = Batches.Random(Grid, 3, 2, 1);
        ExpertDispatcher dispatcher = Make(Impatient with { Patience = TimeSpan.FromSeconds(5) });
        Run(dispatcher, batch);

        Batches.AssertDone(batch);
        Assert.True(token.IsCancellationRequested);
        batch.Reset(1, 3);
        batch.Outputs.Span.Clear();
        never.SetResult(MadeUpChannels.Channel.Answer(held!));
        Assert.True(batch.Outputs.Span.IndexOfAnyExcept((ushort)0) < 0);
        Run(dispatcher, batch);
        Batches.AssertDone(batch);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_is_missing_or_failing_is_waited_for_once_and_not_by_every_batch(bool isPlanned)
    {
        DispatchOptions options = new() { Patience = TimeSpan.FromSeconds(1) };
        int[] Replicas(int expert) => expert != 5 ? [0] : isPlanned ? [1] : [];
        _shards.Publish(2, Replicas, incomplete: "one is missing");
        _shards[1].Handle = (_, _) => Task.FromException<ExpertReply>(new ShardUnavailableException(MadeUpChannels.Shard(1), "it is dead"));
        ExpertDispatcher dispatcher = Make(options);
        ExpertBatch batch = Batches.Make(1, [[0, 2], [5, 3]]);
        long start = Stopwatch.GetTimestamp();
        Run(dispatcher, batch);
        Assert.True(Stopwatch.GetElapsedTime(start) >= options.Patience);

        start = Stopwatch.GetTimestamp();
        for (int i = 0; i < 20; i++)
        {
            if (i % 4 == 0)
                _shards.Publish(2, Replicas, incomplete: $"one is missing, {i}"); // as while others load
            Run(dispatcher, batch);
            Assert.Equal([RowStatus.Done, RowStatus.Unavailable], batch.Statuses.ToArray());
            Assert.NotNull(batch.Problem);
        }

        Assert.True(Stopwatch.GetElapsedTime(start) < 15 * options.Patience); // of 20

        _shards[1].Handle = null;
        _shards.Publish(2, expert => expert == 5 ? [1] : [0]);
        Run(dispatcher, batch);
        Batches.AssertDone(batch);
    }

    [Fact]
    public void A_batch_ends_at_its_limit_whatever_shards_do()
    {
        _shards.Publish(2, expert => [expert % 2]);
        TaskCompletionSource<ExpertReply> never = new();
        _shards[1].Handle = (_, _) => never.Task;
        ExpertBatch batch = Batches.Make(1, [[0, 2], [2, 3]]);
        long start = Stopwatch.GetTimestamp();
        Run(Make(Patient with { Limit = TimeSpan.FromMilliseconds(200) }), batch);

        Assert.Equal([RowStatus.Done, RowStatus.Unavailable], batch.Statuses.ToArray());
        Assert.Contains("did not answer within", batch.Problem);
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalMilliseconds, 190, 8000); // patience is 10 s
    }

    [Fact]
    public void A_call_that_is_given_up_cancels_no_other_of_the_batch()
    {
        _shards.Publish(2, expert => [expert % 2]);
        TaskCompletionSource<ExpertReply> never = new();
        TaskCompletionSource<ExpertReply> slow = new();
        CancellationToken given = default;
        ExpertFrame? held = null;
        _shards[0].Handle = (_, cancellation) =>
        {
            _shards[0].IsSilent = given == default;
            if (given != default)
                return null;
            given = cancellation;
            return never.Task;
        };
        _shards[1].Handle = (frame, cancellation) =>
        {
            held = frame;
            given.Register(() => slow.SetResult(cancellation.IsCancellationRequested ? throw new InvalidOperationException("cancelled, too") : MadeUpChannels.Channel.Answer(held)));
            return slow.Task;
        };
        ExpertBatch batch = Batches.Make(1, [[0, 1], [2, 3]]);
        Run(Make(), batch);

        Batches.AssertDone(batch);
        Assert.Single(_shards[1].Frames);
    }

    [Fact]
    public async Task A_disposal_wakes_who_waits_for_a_batch_and_frees_its_slot_afterwards()
    {
        _shards.Publish(1, _ => [0]);
        CancellationToken token = default;
        _shards[0].Handle = (_, cancellation) =>
        {
            token = cancellation;
            return new TaskCompletionSource<ExpertReply>().Task;
        };
        ExpertDispatcher dispatcher = Make();
        ExpertBatch batch = Batches.Random(Grid, 2, 2, 1);
        ExpertTicket ticket = dispatcher.Submit(batch);
        Task collecting = Task.Run(() => dispatcher.Collect(ticket));
        dispatcher.Dispose();
        await collecting.WaitAsync(TimeSpan.FromSeconds(20));

        Assert.Equal([RowStatus.Unavailable, RowStatus.Unavailable], batch.Statuses.ToArray());
        Assert.Contains("shutting down", batch.Problem);
        Assert.True(token.IsCancellationRequested);
        Assert.Throws<ObjectDisposedException>(() => dispatcher.Submit(batch));
    }

    [Fact]
    public void Calls_that_fail_are_logged_once_a_second_for_each_shard()
    {
        _shards.Publish(2, expert => [expert % 2]);
        long start = Stopwatch.GetTimestamp();
        foreach (int slot in new[] { 0, 1 })
            _shards[slot].Handle = (_, _) => Task.FromException<ExpertReply>(new ShardUnavailableException(MadeUpChannels.Shard(slot), "it is dead"));
        ExpertDispatcher dispatcher = Make(Impatient);
        for (int i = 0; i < 10; i++)
            Run(dispatcher, Batches.Make(1, [[0, 1]]));

        int most = 1 + (int)Stopwatch.GetElapsedTime(start).TotalSeconds;
        foreach (int slot in new[] { 0, 1 })
            Assert.InRange(_log.Lines.Count(line => line.Contains($"shard {MadeUpChannels.Shard(slot)} for layer 1 ended as unavailable")), 1, most);
    }

    [Theory]
    [InlineData(1, 8, "There is no expert 8 in layer 1")]
    [InlineData(1, -1, "There is no expert -1 in layer 1")]
    [InlineData(9, 0, "Layer 9 has no routed experts")]
    public void What_no_plan_can_have_fails_at_once(int layer, int expert, string problem)
    {
        _shards.Publish(1, _ => [0]);
        ExpertBatch batch = Batches.Make(layer, [[expert, 0]]);
        Run(Make(), batch);

        Assert.Equal(RowStatus.Failed, batch.Statuses.Span[0]);
        Assert.Contains(problem, batch.Problem);
    }

    [Fact]
    public void A_refused_frame_fails_its_rows_with_the_shards_reason()
    {
        _shards.Publish(1, _ => [0]);
        _shards[0].Handle = (_, _) => Task.FromResult(new ExpertReply { Status = ReplyStatus.Malformed, Pairs = 0, HiddenSize = 0, Problem = "hidden size 16" });
        ExpertBatch batch = Batches.Random(Grid, 1, 2, 1);
        Run(Make(), batch);

        Assert.Equal(RowStatus.Failed, batch.Statuses.Span[0]);
        Assert.Contains("hidden size 16", batch.Problem);
    }

    [Fact]
    public void Frames_carry_the_trace_of_whoever_submitted()
    {
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name == K2Telemetry.ActivitySourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
        };
        ActivitySource.AddActivityListener(listener);
        using Activity request = K2Telemetry.Activities.StartActivity("k2.request")!;
        ActivityContext trace = default;
        _shards.Publish(1, _ => [0]);
        _shards[0].Handle = (frame, _) =>
        {
            trace = frame.Trace;
            return null;
        };
        Run(Make(), Batches.Random(Grid, 1, 1, 1));

        Assert.Equal(request.TraceId, trace.TraceId);
        Assert.NotEqual(request.SpanId, trace.SpanId); // k2.dispatch is between
        Assert.Same(request, Activity.Current);
    }

    [Fact]
    public void An_empty_batch_is_collected()
    {
        ExpertBatch batch = new(1, Batches.HiddenSize, 2);
        batch.Reset(1, 0);
        _shards.Publish(1, _ => [0]);
        Run(Make(), batch);
        Assert.Null(batch.Problem);
    }

    private static void Run(ExpertDispatcher dispatcher, ExpertBatch batch)
    {
        batch.Reset(batch.Layer, batch.Rows);
        dispatcher.Collect(dispatcher.Submit(batch));
    }

    private ExpertDispatcher Make(DispatchOptions? options = null)
    {
        _dispatchers.Add(new ExpertDispatcher(_shards.Board, _shards, options ?? Patient, TimeProvider.System, _log));
        return _dispatchers[^1];
    }

    private sealed class ListLogger : ILogger<ExpertDispatcher>
    {
        public ConcurrentQueue<string> Lines { get; } = new();

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Enqueue(formatter(state, exception));
    }
}
