using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Contracts;
using K2Cluster.Grains.Shards;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using K2Cluster.Telemetry;

namespace K2Cluster.Cluster.Tests.Shards;

public sealed class ExpertShardTests : IDisposable
{
    private static readonly ExpertGrid Grid = new(1, 2, 4);
    private readonly MadeUpDevice _device = new(Batches.HiddenSize, capacity: 6);
    private readonly NoTensors _source = new();
    private readonly ExpertShard _shard;

    public ExpertShardTests() =>
        _shard = new ExpertShard(new PlannedShard(new ShardId("m", $"s{Guid.NewGuid():N}", 0), 42, "cpu", "int4-g32"), Grid, _device, _source, TimeProvider.System);

    public void Dispose() => _shard.Dispose();

    [Fact]
    public async Task Loads_what_it_is_assigned_and_reports_progress()
    {
        using SemaphoreSlim gate = new(0);
        _device.BeforeLoad = _ => gate.Wait();
        int changes = 0;
        _shard.Changed += () => Interlocked.Increment(ref changes);

        ShardReport first = _shard.Assign(new ShardAssignment(new Epoch(1, 1), [0, 1, 5], []));
        Assert.Equal((0, 3, new Epoch(1, 1)), (first.Held.Length, first.Loading, first.Assigned));
        gate.Release();
        await Eventually.TrueAsync(() => _shard.Report.Held.Length == 1 && changes == 1, "one expert loaded");
        Assert.Equal(2, _shard.Report.Loading);
        gate.Release(2);
        await Eventually.TrueAsync(() => _shard.Report.Loading == 0, "all loaded");

        Assert.Equal([0, 1, 5], _shard.Report.Held.ToArray());
        Assert.True(_device.Holds(new(2, 1)));
    }

    [Fact]
    public async Task What_is_its_own_is_loaded_before_further_replicas_of_others_and_counted_apart()
    {
        using SemaphoreSlim gate = new(0);
        _device.BeforeLoad = _ => gate.Wait();
        _shard.Assign(new ShardAssignment(new Epoch(1, 1), [0, 1, 5], []) { Further = [0, 1] });
        Assert.Equal((1, 3), (_shard.MissingOwned, _shard.Report.Loading));
        gate.Release();
        await Eventually.TrueAsync(() => _shard.Report.Held.Length == 1, "one expert loaded");
        Assert.Equal((5, 0, 2), (_shard.Report.Held[0], _shard.MissingOwned, _shard.Report.Loading));
        gate.Release(2);
    }

    [Fact]
    public async Task What_requests_wait_for_is_loaded_before_all_else()
    {
        using SemaphoreSlim gate = new(0);
        _device.BeforeLoad = _ => gate.Wait();
        _shard.Assign(new ShardAssignment(new Epoch(1, 1), [0, 1, 5], []) { Urgent = [1] });
        gate.Release();
        await Eventually.TrueAsync(() => _shard.Report.Held.Length == 1, "one expert loaded");
        Assert.Equal((1, 2), (_shard.Report.Held[0], _shard.MissingOwned));
        gate.Release(2);
        await Eventually.TrueAsync(() => _shard.Report.Loading == 0, "all loaded");
    }

    [Fact]
    public async Task Reports_the_rows_of_each_expert_and_how_fast_they_were_once_that_is_known()
    {
        await LoadAsync(0, 1, 5);
        for (int i = 0; i < 3; i++)
            (await _shard.ForwardAsync(Frame(pairs: [(0, 1), (1, 1), (1, 2), (0, 0)]), CancellationToken.None)).Dispose();

        ShardReport report = _shard.ReportWithRows();
        Assert.Equal([0, 1, 5], report.Held.ToArray());
        Assert.Equal([3u, 6u, 0u], report.Rows.ToArray()); // expert 2 is not held
        Assert.Empty(_shard.Report.Rows);
        Assert.Equal(0, report.RowsPerSecond); // it has computed for a moment only
        Assert.True(report.UsesHostThreads);
    }

    [Fact]
    public async Task Several_experts_are_loaded_at_once_and_never_more_than_fit()
    {
        using Barrier together = new(3);
        MadeUpDevice device = new(Batches.HiddenSize, capacity: 6) { LoadThreads = 3, BeforeLoad = _ => Assert.True(together.SignalAndWait(TimeSpan.FromSeconds(60))) };
        using ExpertShard shard = new(_shard.Identity, Grid, device, _source, TimeProvider.System);

        // Each load waits for two others.
        shard.Assign(new ShardAssignment(new Epoch(1, 1), [0, 1, 2, 3, 4, 5], []));
        await Eventually.TrueAsync(() => shard.Report.Loading == 0, "all loaded");
        shard.Assign(new ShardAssignment(new Epoch(1, 2), [0, 1, 2, 5, 6, 7], [3, 4]));
        together.RemoveParticipant();
        await Eventually.TrueAsync(() => shard.Report.Loading == 0, "two loaded in place of two");

        Assert.Equal([0, 1, 2, 5, 6, 7], shard.Report.Held.ToArray());
        Assert.Null(shard.Report.Problem);
    }

    [Fact]
    public async Task What_may_be_dropped_while_it_is_loaded_is_dropped_after_that()
    {
        using ManualResetEventSlim entered = new();
        using ManualResetEventSlim proceed = new();
        MadeUpDevice device = new(Batches.HiddenSize, capacity: 6) { LoadThreads = 2 };
        device.BeforeLoad = key =>
        {
            if (key != new ExpertKey(1, 0))
                return;
            entered.Set();
            Assert.True(proceed.Wait(TimeSpan.FromSeconds(60)));
        };
        using ExpertShard shard = new(_shard.Identity, Grid, device, _source, TimeProvider.System);
        int changes = 0;
        shard.Changed += () => Interlocked.Increment(ref changes);
        shard.Assign(new ShardAssignment(new Epoch(1, 1), [0], []));
        Assert.True(entered.Wait(TimeSpan.FromSeconds(60)));
        shard.Assign(new ShardAssignment(new Epoch(1, 2), [1], [0]));
        await Eventually.TrueAsync(() => shard.Report.Held.Contains(1), "the other thread loads");

        proceed.Set();
        await Eventually.TrueAsync(() => Volatile.Read(ref changes) == 3, "two loads and a drop");
        Assert.False(device.Holds(new(1, 0)));
        Assert.Equal([1], shard.Report.Held.ToArray());
    }

    [Fact]
    public async Task Drops_only_what_it_may_and_ignores_an_older_assignment()
    {
        await LoadAsync(0, 1, 5);
        _shard.Assign(new ShardAssignment(new Epoch(2, 0), [0], [5]));
        await Eventually.TrueAsync(() => _shard.Report.Held.Length == 2, "5 dropped");
        Assert.Equal([0, 1], _shard.Report.Held.ToArray()); // 1 is not wanted, but a gateway may still ask it

        Assert.Equal(new Epoch(2, 0), _shard.Assign(new ShardAssignment(new Epoch(1, 9), [7], [0, 1])).Assigned);
        Assert.Equal((2, 0), (_shard.Report.Held.Length, _shard.Report.Loading));
        Assert.Throws<ArgumentException>(() => _shard.Assign(new ShardAssignment(new Epoch(3, 0), [8], [])));
    }

    [Fact]
    public async Task What_does_not_fit_waits_until_something_was_dropped()
    {
        await LoadAsync(0, 1, 2, 3, 4, 5);
        _shard.Assign(new ShardAssignment(new Epoch(2, 0), [0, 1, 2, 3, 4, 7], []));
        Assert.Equal((1, null), (_shard.Report.Loading, _shard.Report.Problem));
        _shard.Assign(new ShardAssignment(new Epoch(2, 1), [0, 1, 2, 3, 4, 7], [5]));
        await Eventually.TrueAsync(() => _shard.Report.Held.Contains(7), "7 loaded in place of 5");
        Assert.DoesNotContain(5, _shard.Report.Held);
    }

    [Fact]
    public async Task An_expert_that_cannot_be_loaded_is_reported_as_a_problem()
    {
        _device.BeforeLoad = key => throw new CheckpointException($"tensor {key} is short");
        _shard.Assign(new ShardAssignment(new Epoch(1, 0), [6], []));
        await Eventually.TrueAsync(() => _shard.Report.Problem is not null, "a problem");

        Assert.StartsWith("Expert 2 of layer 2 cannot be loaded: tensor", _shard.Report.Problem);
        Assert.Equal(1, _shard.Report.Loading);
    }

    [Fact]
    public async Task A_damaged_expert_keeps_no_other_from_being_loaded()
    {
        _device.BeforeLoad = key =>
        {
            if (key.Expert == 1)
                throw new CheckpointException($"tensor {key} is short");
        };
        _shard.Assign(new ShardAssignment(new Epoch(1, 0), [0, 1, 2, 5, 6], []));
        await Eventually.TrueAsync(() => _shard.Report.Problem is not null, "all others loaded, and a problem");

        Assert.Equal([0, 2, 6], _shard.Report.Held.ToArray()); // 1 and 5 are expert 1 of two layers
        Assert.Equal(2, _shard.Report.Loading);
        Assert.Contains("Expert 1 of layer", _shard.Report.Problem);

        _shard.Assign(new ShardAssignment(new Epoch(1, 1), [0, 2, 6, 7], [])); // others have taken the damaged ones over
        await Eventually.TrueAsync(() => _shard.Report is { Held.Length: 4, Loading: 0 }, "what came later");
    }

    [Fact]
    public async Task A_device_that_is_lost_in_a_forward_holds_nothing_and_is_reported_at_once_without_room()
    {
        await LoadAsync(0, 1);
        TaskCompletionSource changed = new();
        _shard.Changed += () => changed.TrySetResult();
        _device.BeforeForward = _ =>
        {
            _device.Lost = "made up is lost: an error";
            throw new DeviceLostException(_device.Lost);
        };
        using ExpertReply lost = await _shard.ForwardAsync(Frame(pairs: [(0, 0)]), CancellationToken.None);
        Assert.Equal((ReplyStatus.Computed, "made up is lost: an error"), (lost.Status, lost.Problem));
        Assert.Equal((byte)PairStatus.NotHeld, lost.Payload.Span[0]); // not Failed: the request goes on under the next plan

        await changed.Task.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal((0, 0, 0L, _device.Lost), (_shard.Report.Held.Length, _shard.Report.Loading, _shard.Report.WeightsBudget, _shard.Report.Problem));
        Assert.Empty(_shard.Assign(new ShardAssignment(new Epoch(2, 0), [], [0, 1])).Held);
    }

    [Fact]
    public async Task A_device_that_is_lost_in_a_load_holds_nothing_and_has_room_for_nothing()
    {
        await LoadAsync(0, 1);
        _device.BeforeLoad = _ => throw new DeviceLostException(_device.Lost = "made up is lost: three loads failed");
        TaskCompletionSource changed = new();
        _shard.Changed += () => changed.TrySetResult();
        _shard.Assign(new ShardAssignment(new Epoch(2, 0), [0, 1, 2], []));
        await changed.Task.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.Equal((0, 0, 0L, _device.Lost), (_shard.Report.Held.Length, _shard.Report.Loading, _shard.Report.WeightsBudget, _shard.Report.Problem));
    }

    [Fact]
    public async Task A_device_without_room_for_a_larger_frame_fails_its_pairs_and_serves_the_next()
    {
        await LoadAsync(0);
        _device.BeforeCreateWork = (_, _) => throw new InsufficientMemoryException("no room");
        (int, int)[] many = [.. Enumerable.Repeat((0, 0), 200)];
        using ExpertReply failed = await _shard.ForwardAsync(Frame(pairs: many), CancellationToken.None);
        Assert.Equal((ReplyStatus.Computed, "no room"), (failed.Status, failed.Problem));
        Assert.True(failed.Payload.Span[..200].IndexOfAnyExcept((byte)PairStatus.Failed) < 0);

        using ExpertReply served = await _shard.ForwardAsync(Frame(pairs: [(0, 0)]), CancellationToken.None);
        Assert.Equal((byte)PairStatus.Done, served.Payload.Span[0]);
        _device.BeforeCreateWork = (_, _) => { };
        using ExpertReply large = await _shard.ForwardAsync(Frame(pairs: many), CancellationToken.None);
        Assert.True(large.Payload.Span[..200].IndexOfAnyExcept((byte)PairStatus.Done) < 0);
    }

    [Fact]
    public async Task Computes_a_batch_on_the_callers_thread_while_frames_come_from_others()
    {
        await LoadAsync(0, 1, 2, 3);
        int computing = 0;
        _device.BeforeForward = _ =>
        {
            Assert.Equal(1, Interlocked.Increment(ref computing));
            Thread.Yield();
            Interlocked.Decrement(ref computing);
        };
        Task<ExpertReply>[] frames = [.. Enumerable.Range(0, 20).Select(_ => _shard.ForwardAsync(Frame(pairs: [(0, 2)]), CancellationToken.None).AsTask())];
        PairStatus[] statuses = new PairStatus[60];
        for (int rows = 1; rows <= 20; rows++)
        {
            ExpertBatch batch = Batches.Random(new ExpertGrid(1, 1, 4), rows, 3, rows);
            Assert.Null(_shard.Compute(batch, statuses.AsSpan(0, rows * 3)));
            Assert.All(statuses[..(rows * 3)], status => Assert.Equal(PairStatus.Done, status));
            batch.Statuses.Span.Fill(RowStatus.Done);
            Batches.AssertDone(batch);
        }

        foreach (ExpertReply reply in await Task.WhenAll(frames))
        {
            Assert.Equal((byte)PairStatus.Done, reply.Payload.Span[0]);
            reply.Dispose();
        }
    }

    [Fact]
    public async Task A_batch_that_it_cannot_take_stays_open()
    {
        await LoadAsync(0);
        PairStatus[] statuses = new PairStatus[2];
        Assert.Null(_shard.Compute(Batches.Make(1, [[0, 1]]), statuses));
        Assert.Equal([PairStatus.Done, PairStatus.NotHeld], statuses);

        statuses.AsSpan().Clear();
        Assert.Null(_shard.Compute(Batches.Make(1, [[0, 4]]), statuses));
        Assert.Null(_shard.Compute(Batches.Make(9, [[0, 1]]), statuses));
        Assert.Equal([PairStatus.Pending, PairStatus.Pending], statuses);

        _device.BeforeForward = _ => throw new InvalidOperationException("it is broken");
        Assert.Contains("it is broken", _shard.Compute(Batches.Make(1, [[0, 1]]), statuses));
        Assert.Equal([PairStatus.Failed, PairStatus.Failed], statuses);
        _shard.Dispose();
        Assert.Throws<ObjectDisposedException>(() => _shard.Compute(Batches.Make(1, [[0, 1]]), statuses));
    }

    [Fact]
    public async Task Computes_what_it_holds_and_says_what_it_does_not_under_any_epoch()
    {
        await LoadAsync(0, 2);
        using ExpertReply reply = await _shard.ForwardAsync(Frame(epoch: new Epoch(0, 0), pairs: [(0, 2), (1, 0), (1, 1)]), CancellationToken.None);

        Assert.Equal(ReplyStatus.Computed, reply.Status);
        Assert.Equal([PairStatus.Done, PairStatus.Done, PairStatus.NotHeld], MemoryMarshal.Cast<byte, PairStatus>(reply.Payload.Span[..3]).ToArray());
        ReadOnlySpan<ushort> outputs = MemoryMarshal.Cast<byte, ushort>(reply.Payload.Span[ExpertReply.StatusLength(3)..]);
        Assert.Equal(MadeUpDevice.Output(3, 1, 2), outputs[3]);
        Assert.Equal(MadeUpDevice.Output(Batches.HiddenSize, 1, 0), outputs[Batches.HiddenSize]);
    }

    [Fact]
    public async Task Another_incarnation_is_refused()
    {
        using ExpertReply reply = await _shard.ForwardAsync(Frame(incarnation: 41), CancellationToken.None);
        Assert.Equal(ReplyStatus.WrongIncarnation, reply.Status);
    }

    [Theory]
    [InlineData(3, 0, 0, "layer 3 has no routed experts")]
    [InlineData(0, 0, 0, "layer 0 has no routed experts")]
    [InlineData(1, 2, 0, "row 2 of 2")]
    [InlineData(1, -1, 0, "row -1 of 2")]
    [InlineData(1, 0, 4, "expert 4 of 4")]
    [InlineData(1, 0, -1, "expert -1 of 4")]
    public async Task Wrong_ids_are_refused_with_the_reason(int layer, int row, int expert, string problem)
    {
        using ExpertReply reply = await _shard.ForwardAsync(Frame(layer: layer, pairs: [(row, expert)]), CancellationToken.None);
        Assert.Equal((ReplyStatus.Malformed, problem), (reply.Status, reply.Problem));
    }

    [Fact]
    public async Task Wrong_sizes_are_refused()
    {
        ExpertFrame wide = new() { Incarnation = 42, Epoch = default, Layer = 1, Rows = 1, Pairs = 1, HiddenSize = 32 };
        wide.Rent(ExpertFrame.PayloadLength(1, 1, 32));
        ExpertFrame shortened = new() { Incarnation = 42, Epoch = default, Layer = 1, Rows = 1, Pairs = 2, HiddenSize = Batches.HiddenSize };
        shortened.Rent(ExpertFrame.PayloadLength(1, 1, Batches.HiddenSize));
        foreach (ExpertFrame frame in new[] { wide, shortened })
        {
            using ExpertReply reply = await _shard.ForwardAsync(frame, CancellationToken.None);
            Assert.Equal(ReplyStatus.Malformed, reply.Status);
        }
    }

    [Fact]
    public async Task A_device_that_throws_fails_that_frame_and_serves_the_next()
    {
        await LoadAsync(0);
        _device.BeforeForward = _ => throw new InvalidOperationException("device lost");
        using ExpertReply failed = await _shard.ForwardAsync(Frame(pairs: [(0, 0)]), CancellationToken.None);
        Assert.Equal(((byte)PairStatus.Failed, "device lost"), (failed.Payload.Span[0], failed.Problem));

        _device.BeforeForward = _ => { };
        using ExpertReply served = await _shard.ForwardAsync(Frame(pairs: [(0, 0)]), CancellationToken.None);
        Assert.Equal((byte)PairStatus.Done, served.Payload.Span[0]);
    }

    [Fact]
    public async Task A_full_queue_is_Busy_a_cancelled_frame_is_never_computed_and_shutdown_ends_the_rest()
    {
        await LoadAsync(0);
        using ManualResetEventSlim entered = new();
        using ManualResetEventSlim proceed = new();
        int forwards = 0;
        _device.BeforeForward = _ =>
        {
            Interlocked.Increment(ref forwards);
            entered.Set();
            proceed.Wait();
        };
        Task<ExpertReply> running = _shard.ForwardAsync(Frame(), CancellationToken.None).AsTask();
        entered.Wait();
        using CancellationTokenSource cancel = new();
        Task<ExpertReply> cancelled = _shard.ForwardAsync(Frame(), cancel.Token).AsTask();
        List<Task<ExpertReply>> waiting = [];
        ReplyStatus? refused = null;
        while (refused is null && waiting.Count < 1000)
        {
            Task<ExpertReply> next = _shard.ForwardAsync(Frame(), CancellationToken.None).AsTask();
            if (next.IsCompleted)
                refused = (await next).Status;
            else
                waiting.Add(next);
        }

        Assert.Equal(ReplyStatus.Busy, refused);
        await cancel.CancelAsync();
        await Assert.ThrowsAsync<TaskCanceledException>(() => cancelled);

        Task disposed = Task.Run(_shard.Dispose);
        await Eventually.TrueAsync(() => ThrowsWhenStopped(), "shutdown begun");
        proceed.Set();
        await disposed;
        Assert.Equal(ReplyStatus.Computed, (await running).Status);
        foreach (Task<ExpertReply> task in waiting)
            await Assert.ThrowsAsync<ObjectDisposedException>(() => task);
        Assert.Equal(1, forwards);
        Assert.True(_device.IsDisposed);
    }

    [Fact]
    public async Task Counts_tokens_of_each_expert_and_experts_held()
    {
        await LoadAsync(0, 2);
        (await _shard.ForwardAsync(Frame(pairs: [(0, 2), (1, 0), (1, 2), (1, 1)]), CancellationToken.None)).Dispose();

        Dictionary<string, long> measured = [];
        using MeterListener listener = new();
        listener.InstrumentPublished = (instrument, own) =>
        {
            if (instrument.Meter.Name == K2Telemetry.ShardMeterName)
                own.EnableMeasurementEvents(instrument);
        };
        void Record(string name, long value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            if (Equals(tags[0].Value, _shard.Identity.Id.ToString()))
                measured[string.Join(' ', [name, .. tags[1..].ToArray().Select(tag => $"{tag.Key}={tag.Value}")])] = value;
        }

        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Record(instrument.Name, value, tags));
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Record(instrument.Name, value, tags));
        listener.Start();
        listener.RecordObservableInstruments();

        Assert.Equal(
            new Dictionary<string, long> { ["k2.expert.tokens k2.layer=1 k2.expert=0"] = 1, ["k2.expert.tokens k2.layer=1 k2.expert=2"] = 2, ["k2.experts.held"] = 2 },
            measured);
    }

    [Fact]
    public async Task Its_work_is_a_child_of_the_trace_in_the_frame()
    {
        await LoadAsync(0);
        List<Activity> ended = [];
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name == K2Telemetry.ActivitySourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = activity =>
            {
                lock (ended)
                    ended.Add(activity);
            },
        };
        ActivitySource.AddActivityListener(listener);
        ActivityContext parent = new(ActivityTraceId.CreateRandom(), ActivitySpanId.CreateRandom(), ActivityTraceFlags.Recorded);
        (await _shard.ForwardAsync(Frame(trace: parent), CancellationToken.None)).Dispose();

        bool Found()
        {
            lock (ended)
                return ended.Exists(activity => activity.OperationName == "k2.shard.forward" && activity.TraceId == parent.TraceId && activity.ParentSpanId == parent.SpanId);
        }

        await Eventually.TrueAsync(Found, "an activity under the frame's trace");
    }

    private static ExpertFrame Frame(long incarnation = 42, Epoch epoch = default, int layer = 1, (int Row, int Expert)[]? pairs = null, ActivityContext trace = default)
    {
        pairs ??= [(0, 0)];
        const int rows = 2;
        ExpertFrame frame = new() { Incarnation = incarnation, Epoch = epoch, Layer = layer, Rows = rows, Pairs = pairs.Length, HiddenSize = Batches.HiddenSize, Trace = trace };
        frame.Rent(ExpertFrame.PayloadLength(rows, pairs.Length, Batches.HiddenSize));
        Span<ushort> hidden = MemoryMarshal.Cast<byte, ushort>(frame.Payload.Span[..(rows * Batches.HiddenSize * 2)]);
        for (int i = 0; i < hidden.Length; i++)
            hidden[i] = (ushort)i;
        Span<int> ids = MemoryMarshal.Cast<byte, int>(frame.Payload.Span[(rows * Batches.HiddenSize * 2)..]);
        for (int i = 0; i < pairs.Length; i++)
            (ids[2 * i], ids[(2 * i) + 1]) = pairs[i];
        return frame;
    }

    private async Task LoadAsync(params int[] experts)
    {
        _shard.Assign(new ShardAssignment(new Epoch(1, 1), [.. experts], []));
        await Eventually.TrueAsync(() => _shard.Report.Held.Length == experts.Length, "experts loaded");
    }

    private bool ThrowsWhenStopped()
    {
        ValueTask<ExpertReply> reply = _shard.ForwardAsync(Frame(), CancellationToken.None);
        return reply.IsFaulted;
    }
}
