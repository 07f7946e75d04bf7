using System.Diagnostics;
using System.Runtime.InteropServices;
using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using K2Cluster.Telemetry;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// One batch on its way: rounds of (group the open pairs by shard, send, take the answers) until no pair is open or worth
/// waiting for. Between rounds it waits for a newer plan, shortly. Where all experts are on a shard that computes on its
/// callers' threads, there is nothing to send: who waits computes. One instance serves one slot of the dispatcher, batch
/// after batch; nobody else touches it between Start and Wait.
/// </summary>
internal sealed class BatchDispatch(ExpertDispatcher dispatcher, IPlanSource plans, DispatchOptions options, TimeProvider time, CancellationToken stopping) : IDisposable
{
    private readonly ManualResetEventSlim _finished = new();
    private readonly List<ShardCall> _calls = [];

    /// <summary>Sources that calls did not use up.</summary>
    private readonly Stack<CancellationTokenSource> _cancellations = [];
    private PairStatus[] _pairs = [];
    private FramePlan _frames = new(0);
    private RouteTable? _here;
    private long[] _failedSince = [];
    private long _start;
    private long _number;

    /// <summary>0: free.</summary>
    public long Number => Volatile.Read(ref _number);

    public ExpertBatch Batch { get; private set; } = null!;

    public void Reserve(ExpertTicket ticket)
    {
        Batch = ticket.Batch;
        Volatile.Write(ref _number, ticket.Number);
    }

    /// <summary>Sends the first round on the caller's thread; what follows runs as answers come.</summary>
    public void Start()
    {
        _start = time.GetTimestamp();
        _finished.Reset();
        int pairs = Batch.Rows * Batch.ExpertsPerToken;
        if (_pairs.Length < pairs)
        {
            _pairs = new PairStatus[pairs];
            _frames = new FramePlan(pairs);
        }

        _pairs.AsSpan(0, pairs).Clear();
        _here = dispatcher.Routes() is { Here: not null } here ? here : null;
        if (_here is null)
            _ = RunAsync(pairs);
    }

    public void Wait()
    {
        int pairs = Batch.Rows * Batch.ExpertsPerToken;
        if (_here is not null)
        {
            if (ComputeHere(_here, pairs))
                return;
            _ = RunAsync(pairs);
        }

        _finished.Wait();
    }

    public void Release() => Volatile.Write(ref _number, 0);

    /// <summary>Only while the slot is free.</summary>
    public void Dispose()
    {
        while (_cancellations.TryPop(out CancellationTokenSource? cancellation))
            cancellation.Dispose();
        _finished.Dispose();
    }

    /// <summary>Computes the batch on this thread. False when pairs are open still: an expert may come with a newer plan.</summary>
    private bool ComputeHere(RouteTable routes, int pairs)
    {
        using Activity? activity = StartActivity();
        long start = time.GetTimestamp();
        Span<PairStatus> statuses = _pairs.AsSpan(0, pairs);
        try
        {
            Batch.Problem ??= routes.Here!.Compute(Batch, statuses);
        }
        catch (Exception exception)
        {
            // As that of any other shard that fails: it is tried again, while patience lasts.
            dispatcher.LogCall(routes.Here!.Shard, Batch.Layer, "unavailable", time.GetElapsedTime(start), exception.Message);
            return false;
        }

        statuses.Replace(PairStatus.NotHeld, PairStatus.Pending);
        bool isWhole = !statuses.Contains(PairStatus.Pending);
        Record(isWhole ? "ok" : "not_held", routes.Name(0), time.GetElapsedTime(start));
        if (isWhole)
            SetRows();
        return isWhole;
    }

    private Activity? StartActivity() =>
        K2Telemetry.Activities.StartActivity("k2.dispatch")?.SetTag("k2.layer", Batch.Layer).SetTag("k2.rows", Batch.Rows);

    private static void Record(string outcome, string shard, TimeSpan duration)
    {
        TagList tags = new() { { "k2.shard", shard }, { "k2.outcome", outcome } };
        K2Telemetry.Dispatches.Add(1, tags);
        K2Telemetry.DispatchDuration.Record(duration.TotalSeconds);
    }

    private async Task RunAsync(int pairs)
    {
        using Activity? activity = StartActivity();
        ActivityContext trace = activity?.Context ?? Activity.Current?.Context ?? default;
        try
        {
            await RunRoundsAsync(pairs, trace).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            // Not a cluster's problem but ours; the rows must not hang for it.
            Batch.Problem ??= $"The dispatcher failed: {exception.Message}";
            FinishPairs(pairs, PairStatus.Failed);
        }
        finally
        {
            SetRows();
            activity?.SetStatus(Batch.Problem is null ? ActivityStatusCode.Ok : ActivityStatusCode.Error, Batch.Problem);
            _finished.Set();
        }
    }

    private async Task RunRoundsAsync(int pairs, ActivityContext trace)
    {
        long firstFailure = 0;
        TimeSpan backoff = options.FirstBackoff;
        RouteTable? last = null;
        string? problem = null;
        while (true)
        {
            RouteTable? routes = dispatcher.Routes();
            if (routes is null)
            {
                problem = plans.NotReadyReason ?? "there is no placement plan";
            }
            else
            {
                if (!ReferenceEquals(routes, last))
                    _failedSince = new long[routes.Shards]; // a new plan, a new chance
                last = routes;
                if (!routes.Plan.Grid.Contains(Batch.Layer, 0))
                {
                    Batch.Problem ??= $"Layer {Batch.Layer} has no routed experts.";
                    FinishPairs(pairs, PairStatus.Failed);
                    return;
                }

                problem = Send(routes, pairs, trace);
                foreach (ShardCall call in _calls)
                    problem = await TakeReplyAsync(call, routes).ConfigureAwait(false) ?? problem;
            }

            if (!_pairs.AsSpan(0, pairs).Contains(PairStatus.Pending))
                return;
            if (firstFailure == 0)
                firstFailure = time.GetTimestamp();
            TimeSpan left = Shorter(options.Limit - time.GetElapsedTime(_start), options.Patience - time.GetElapsedTime(firstFailure));
            left = stopping.IsCancellationRequested ? TimeSpan.Zero : Shorter(left, GiveUp(routes, pairs));
            if (left <= TimeSpan.Zero)
                FinishPairs(pairs, PairStatus.NotHeld);
            if (_pairs.AsSpan(0, pairs).Contains(PairStatus.NotHeld))
                Batch.Problem ??= problem;
            if (!_pairs.AsSpan(0, pairs).Contains(PairStatus.Pending))
                return;

            await WaitForNewerPlanAsync(routes?.Plan.Epoch ?? Epoch.None, Shorter(backoff, left)).ConfigureAwait(false);
            backoff = Shorter(backoff * 2, options.LongestBackoff);
        }
    }

    /// <summary>Gives up the open pairs whose expert is missing or failing for too long already; how long the others may wait.</summary>
    private TimeSpan GiveUp(RouteTable? routes, int pairs)
    {
        if (routes is null)
            return options.Patience;
        long now = time.GetTimestamp();
        ReadOnlySpan<int> experts = Batch.ExpertIds.Span;
        TimeSpan longest = TimeSpan.Zero;
        for (int pair = 0; pair < pairs; pair++)
        {
            if (_pairs[pair] != PairStatus.Pending)
                continue;

            // The best of its shards counts; one that was not tried under this plan has all the time.
            ReadOnlySpan<int> replicas = routes.Plan.ReplicasOf(routes.Plan.Grid.Index(Batch.Layer, experts[pair]));
            long since = replicas.IsEmpty ? routes.MissingSince : long.MinValue;
            foreach (int shard in replicas)
                since = Math.Max(since, _failedSince[shard] == 0 ? now : _failedSince[shard]);
            TimeSpan left = options.Patience - time.GetElapsedTime(since, now);
            if (left <= TimeSpan.Zero)
                _pairs[pair] = PairStatus.NotHeld;
            longest = left > longest ? left : longest;
        }

        return longest;
    }

    /// <summary>Sends the open pairs that have a shard; says why when some have none.</summary>
    private string? Send(RouteTable routes, int pairs, ActivityContext trace)
    {
        _calls.Clear();
        string? problem = null;
        ReadOnlySpan<int> experts = Batch.ExpertIds.Span;
        ExpertGrid grid = routes.Plan.Grid;
        _frames.Begin(routes.Shards);
        for (int pair = 0; pair < pairs; pair++)
        {
            if (_pairs[pair] != PairStatus.Pending)
                continue;
            if (!grid.Contains(Batch.Layer, experts[pair]))
            {
                Batch.Problem ??= $"There is no expert {experts[pair]} in layer {Batch.Layer}: the model has {grid.Experts}.";
                _pairs[pair] = PairStatus.Failed;
                continue;
            }

            int shard = Choose(routes, grid.Index(Batch.Layer, experts[pair]));
            if (shard < 0)
                problem ??= routes.Plan.Incomplete ?? $"expert {experts[pair]} of layer {Batch.Layer} is on no shard";
            else
                _frames.Add(pair, shard);
        }

        _frames.Group();
        int limit = FrameLimits.PairsPerFrame(Batch.HiddenSize);
        for (int shard = 0; shard < routes.Shards; shard++)
        {
            // One frame a shard, unless it would be too large.
            (int start, int end) = _frames.Range(shard);
            for (; start < end; start += limit)
            {
                int count = Math.Min(limit, end - start);
                ExpertFrame frame = _frames.Build(Batch, start, count, routes.Plan.Shards[shard].Incarnation, routes.Plan.Epoch, trace);
                CancellationTokenSource cancellation = _cancellations.TryPop(out CancellationTokenSource? used) ? used : new();
                _calls.Add(new ShardCall(shard, start, count, time.GetTimestamp(), cancellation, Submit(routes.Channel(shard), frame, cancellation.Token)));
            }
        }

        return problem;
    }

    private static ValueTask<ExpertReply> Submit(IExpertChannel channel, ExpertFrame frame, CancellationToken cancellationToken)
    {
        try
        {
            return channel.SubmitAsync(frame, cancellationToken);
        }
        catch (Exception exception)
        {
            return ValueTask.FromException<ExpertReply>(exception);
        }
    }

    /// <summary>Of an expert's replicas, the one with the least in flight; one that just failed this batch only if there is no other.</summary>
    private int Choose(RouteTable routes, int expert)
    {
        int best = -1;
        (bool Failed, int InFlight) bestCost = default;
        foreach (int shard in routes.Plan.ReplicasOf(expert))
        {
            (bool Failed, int InFlight) cost = (_failedSince[shard] != 0, routes.Channel(shard).InFlight);
            if (best < 0 || cost.CompareTo(bestCost) < 0)
                (best, bestCost) = (shard, cost);
        }

        return best;
    }

    /// <summary>Waits for an answer and takes it; says why when pairs of it stay open.</summary>
    private async ValueTask<string?> TakeReplyAsync(ShardCall call, RouteTable routes)
    {
        IExpertChannel channel = routes.Channel(call.Shard);
        (string outcome, string? problem) = ("unavailable", null);
        try
        {
            using ExpertReply reply = await WithinLimitAsync(call).ConfigureAwait(false);
            (outcome, problem) = Take(reply, call, channel.Shard);
        }
        catch (TimeoutException)
        {
            problem = $"Shard {channel.Shard} did not answer within {time.GetElapsedTime(call.Sent).TotalSeconds:0.#} s.";
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            problem = "This process is shutting down.";
        }
        catch (Exception exception)
        {
            problem = exception is ShardUnavailableException ? exception.Message : $"Shard {channel.Shard}: {exception.Message}";
        }

        Note(outcome, call.Shard, routes);
        TimeSpan duration = time.GetElapsedTime(call.Sent);
        Record(outcome, routes.Name(call.Shard), duration);
        if (outcome != "ok" && !stopping.IsCancellationRequested)
            dispatcher.LogCall(channel.Shard, Batch.Layer, outcome, duration, problem ?? Batch.Problem);
        return problem;
    }

    private void Note(string outcome, int shard, RouteTable routes)
    {
        if (outcome == "unavailable" || outcome == "wrong_incarnation")
        {
            _failedSince[shard] = routes.Failed(shard);
            return;
        }

        routes.Answered(shard);
        if (outcome == "not_held")
            _failedSince[shard] = routes.NotHeld(shard);
        else if (outcome != "ok" && _failedSince[shard] == 0)
            _failedSince[shard] = time.GetTimestamp(); // busy is nothing that lasts: each batch has its own patience with it
    }

    /// <summary>Waits for an answer as long as the call and the batch may take.</summary>
    private async ValueTask<ExpertReply> WithinLimitAsync(ShardCall call)
    {
        try
        {
            TimeSpan left = Shorter(options.CallTimeout - time.GetElapsedTime(call.Sent), options.Limit - time.GetElapsedTime(_start));
            return await call.WaitAsync(left, time, stopping).ConfigureAwait(false);
        }
        finally
        {
            if (call.Cancellation.TryReset())
                _cancellations.Push(call.Cancellation);
        }
    }

    private (string Outcome, string? Problem) Take(ExpertReply reply, ShardCall call, ShardId shard)
    {
        switch (reply.Status)
        {
            case ReplyStatus.WrongIncarnation:
                return ("wrong_incarnation", $"Shard {shard} has restarted since the plan was made.");
            case ReplyStatus.Busy:
                return ("busy", $"Shard {shard}'s queue is full.");
            case ReplyStatus.Malformed:
                // Sent again it would be refused again.
                Batch.Problem ??= $"Shard {shard} refused the frame: {reply.Problem}";
                foreach (int pair in _frames.Pairs(call.Start, call.Count))
                    _pairs[pair] = PairStatus.Failed;
                return ("malformed", null);
            case ReplyStatus.Computed when IsWhole(reply, call.Count):
                return TakePairs(reply, call, shard);
            default:
                return ("unavailable", $"Shard {shard} sent a malformed reply: status {reply.Status}, {reply.Pairs} pairs of {reply.HiddenSize} in {reply.Length} bytes, for {call.Count} pairs of {Batch.HiddenSize}.");
        }
    }

    private bool IsWhole(ExpertReply reply, int count)
    {
        if (reply.Pairs != count || reply.HiddenSize != Batch.HiddenSize || reply.Length != ExpertReply.PayloadLength(count, Batch.HiddenSize))
            return false;
        foreach (byte status in reply.Payload.Span[..count])
        {
            if ((PairStatus)status is not (PairStatus.Done or PairStatus.NotHeld or PairStatus.Failed))
                return false;
        }

        return true;
    }

    private (string Outcome, string? Problem) TakePairs(ExpertReply reply, ShardCall call, ShardId shard)
    {
        int hiddenSize = Batch.HiddenSize;
        ReadOnlySpan<byte> payload = reply.Payload.Span;
        ReadOnlySpan<ushort> results = MemoryMarshal.Cast<byte, ushort>(payload[ExpertReply.StatusLength(call.Count)..]);
        Span<ushort> outputs = Batch.Outputs.Span;
        ReadOnlySpan<int> order = _frames.Pairs(call.Start, call.Count);
        bool missing = false;
        for (int i = 0; i < order.Length; i++)
        {
            switch ((PairStatus)payload[i])
            {
                case PairStatus.Done:
                    results.Slice(i * hiddenSize, hiddenSize).CopyTo(outputs.Slice(order[i] * hiddenSize, hiddenSize));
                    _pairs[order[i]] = PairStatus.Done;
                    break;
                case PairStatus.Failed:
                    Batch.Problem ??= $"Shard {shard} failed on expert {Batch.ExpertIds.Span[order[i]]} of layer {Batch.Layer}: {reply.Problem ?? "no reason given"}";
                    _pairs[order[i]] = PairStatus.Failed;
                    break;
                default:
                    missing = true;
                    break;
            }
        }

        return missing ? ("not_held", $"Shard {shard} does not hold all experts that the plan says it does.") : ("ok", null);
    }

    private async Task WaitForNewerPlanAsync(Epoch known, TimeSpan longest)
    {
        using CancellationTokenSource wait = new(longest, time);
        using CancellationTokenRegistration stop = stopping.UnsafeRegister(static wait => ((CancellationTokenSource)wait!).Cancel(), wait);
        try
        {
            await plans.WaitForNewerAsync(known, wait.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
        }
    }

    private static TimeSpan Shorter(TimeSpan left, TimeSpan right) => left < right ? left : right;

    private void FinishPairs(int pairs, PairStatus status)
    {
        foreach (ref PairStatus pair in _pairs.AsSpan(0, pairs))
        {
            if (pair == PairStatus.Pending)
                pair = status;
        }
    }

    /// <summary>A row is Done if all its pairs are; Failed if one failed, as a replay would meet that again; else Unavailable.</summary>
    private void SetRows()
    {
        Span<RowStatus> rows = Batch.Statuses.Span;
        int width = Batch.ExpertsPerToken;
        for (int row = 0; row < rows.Length; row++)
        {
            ReadOnlySpan<PairStatus> pairs = _pairs.AsSpan(row * width, width);
            rows[row] = pairs.Contains(PairStatus.Failed) ? RowStatus.Failed
                : pairs.IndexOfAnyExcept(PairStatus.Done) >= 0 ? RowStatus.Unavailable
                : RowStatus.Done;
        }
    }
}
