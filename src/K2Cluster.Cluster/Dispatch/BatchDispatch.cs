using System.Diagnostics;
using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;
using K2Cluster.Fabric;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using K2Cluster.Telemetry;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// One batch on its way. Submitting sends a frame to each shard that is needed; who collects then sees to the rest on its own
/// thread, whenever an answer or a newer plan has come or a time is up: takes answers, asks other replicas for what failed or
/// is late, and parks what nobody has, until no pair is open or worth waiting for. Where all experts are on a shard that
/// computes on its callers' threads, there is nothing to send: who collects computes. One instance serves one slot of the
/// dispatcher, batch after batch; answers touch it on other threads by setting its signal, and nothing else does.
/// </summary>
internal sealed class BatchDispatch : IDisposable
{
    private readonly ExpertDispatcher _dispatcher;
    private readonly IPlanSource _plans;
    private readonly DispatchOptions _options;
    private readonly TimeProvider _time;
    private readonly CancellationToken _stopping;
    private readonly CancellationTokenRegistration _stop;
    private readonly ManualResetEventSlim _signal = new(false, FabricWait.Spins);
    private readonly DispatchPairs _pairs = new();
    private readonly BatchAnswers _answers;
    private readonly BatchRoutes _routes;
    private readonly BatchCalls _calls;
    private readonly BatchPatience _patience;
    private readonly PairShares _shares = new();
    private readonly PlanSignal _planSignal;
    private FramePlan _frames = new(0);
    private Activity? _activity;
    private ActivityContext _trace;
    private RouteTable? _here;
    private string? _problem;
    private long _start;
    private long _number;

    public BatchDispatch(ExpertDispatcher dispatcher, IPlanSource plans, DispatchOptions options, TimeProvider time, CancellationToken stopping)
    {
        (_dispatcher, _plans, _options, _time, _stopping) = (dispatcher, plans, options, time, stopping);
        (_answers, _routes) = (new BatchAnswers(_pairs, dispatcher), new BatchRoutes(dispatcher.Faults, time));
        _planSignal = new PlanSignal(plans, _signal);
        _calls = new BatchCalls(options, time, _signal.Set);
        _patience = new BatchPatience(_pairs, _routes, options, time);
        _stop = stopping.UnsafeRegister(static signal => ((ManualResetEventSlim)signal!).Set(), _signal);
    }

    /// <summary>0: free.</summary>
    public long Number => Volatile.Read(ref _number);

    public ExpertBatch Batch { get; private set; } = null!;

    public void Reserve(ExpertTicket ticket)
    {
        Batch = ticket.Batch;
        Volatile.Write(ref _number, ticket.Number);
    }

    /// <summary>Sends what can be sent.</summary>
    public void Start()
    {
        _start = _time.GetTimestamp();
        int pairs = Batch.Rows * Batch.ExpertsPerToken;
        if (_frames.MaxPairs < pairs)
            _frames = new FramePlan(pairs);
        _pairs.Begin(pairs);
        _routes.Clear();
        _patience.Begin();
        _problem = null;
        _here = _dispatcher.Routes() is { Here: not null } here ? here : null;

        // Ended by who collects: until then the caller's own activity is the current one.
        Activity? current = Activity.Current;
        _activity = StartActivity();
        _trace = _activity?.Context ?? current?.Context ?? default;
        Activity.Current = current;
        if (_here is null)
            TryAdvance(isFirst: true);
    }

    public void Wait()
    {
        if (_here is null || !ComputeHere(_here))
        {
            while (TryAdvance(isFirst: false) is { } longest)
                _signal.Wait(longest);
        }

        End();
    }

    public void Release() => Volatile.Write(ref _number, 0);

    /// <summary>Only while the slot is free.</summary>
    public void Dispose()
    {
        _stop.Dispose();
        _planSignal.Dispose();
        _calls.Dispose();
        _signal.Dispose();
    }

    private Activity? StartActivity() =>
        K2Telemetry.Activities.StartActivity("k2.dispatch")?.SetTag("k2.layer", Batch.Layer).SetTag("k2.rows", Batch.Rows);

    private static void Record(string outcome, string shard, TimeSpan duration)
    {
        TagList tags = new() { { "k2.shard", shard }, { "k2.outcome", outcome } };
        K2Telemetry.Dispatches.Add(1, tags);
        K2Telemetry.DispatchDuration.Record(duration.TotalSeconds);
    }

    /// <summary>Computes the batch on this thread. False when pairs are open still: an expert may come with a newer plan.</summary>
    private bool ComputeHere(RouteTable routes)
    {
        long start = _time.GetTimestamp();
        try
        {
            Batch.Problem ??= routes.Here!.Compute(Batch, _pairs.Statuses);
        }
        catch (Exception exception)
        {
            // As that of any other shard that fails: it is tried again, while patience lasts.
            _dispatcher.LogCall(routes.Here!.Shard, Batch.Layer, "unavailable", _time.GetElapsedTime(start), exception.Message);
            return false;
        }

        _pairs.Statuses.Replace(PairStatus.NotHeld, PairStatus.Pending);
        bool isWhole = !_pairs.HasPending;
        Record(isWhole ? "ok" : "not_held", routes.Name(0), _time.GetElapsedTime(start));
        return isWhole;
    }

    /// <summary>What fails in here is not a cluster's problem but ours; the rows must not hang for it.</summary>
    private TimeSpan? TryAdvance(bool isFirst)
    {
        try
        {
            return Advance(isFirst);
        }
        catch (Exception exception)
        {
            Batch.Problem ??= $"The dispatcher failed: {exception.Message}";
            _pairs.Finish(PairStatus.Failed);
            return null;
        }
    }

    private void End()
    {
        _calls.GiveUpAll();
        _planSignal.End();
        _pairs.SetRows(Batch);
        if (_activity is { } activity)
        {
            activity.SetStatus(Batch.Problem is null ? ActivityStatusCode.Ok : ActivityStatusCode.Error, Batch.Problem);
            Activity? current = Activity.Current;
            activity.Dispose();
            Activity.Current = current;
            _activity = null;
        }
    }

    /// <summary>Does what can be done now; how long to wait at most before it is called again, null when the batch is at its end.</summary>
    private TimeSpan? Advance(bool isFirst)
    {
        _signal.Reset();
        TakeAnswers();
        if (!_pairs.HasPending)
            return null;
        long now = _time.GetTimestamp();
        TimeSpan left = _options.Limit - _time.GetElapsedTime(_start, now);
        if (_stopping.IsCancellationRequested || left <= TimeSpan.Zero)
            return GiveUpAll(now);

        RouteTable? routes = _dispatcher.Routes();
        if (routes is null)
            _problem = _plans.NotReadyReason ?? "there is no placement plan";
        else if (!UseRoutes(routes))
            return null;
        while (_calls.TakeSilent(now) is { } silent)
            NoteSilent(silent, now);
        if (routes is not null)
        {
            while (_calls.NextLate(now) is { } late)
                Hedge(late, now);
            Send(routes, now);
        }

        left = Shorter(left, _calls.UntilNext(now));
        return isFirst ? left : Park(left, now);
    }

    /// <summary>False when the model has no such layer.</summary>
    private bool UseRoutes(RouteTable routes)
    {
        if (ReferenceEquals(routes, _routes.Table))
            return true;
        if (!routes.Plan.Grid.Contains(Batch.Layer, 0))
        {
            Batch.Problem ??= $"Layer {Batch.Layer} has no routed experts.";
            _pairs.Finish(PairStatus.Failed);
            return false;
        }

        _routes.Use(routes, _calls.UnderWay);
        foreach (DispatchCall call in _calls.UnderWay)
            SetHedge(call);
        _patience.ForgetRetry();
        return true;
    }

    private TimeSpan? GiveUpAll(long now)
    {
        foreach (DispatchCall call in _stopping.IsCancellationRequested ? [] : _calls.UnderWay)
            NoteSilent(call, now);
        if (_stopping.IsCancellationRequested)
            _problem = "This process is shutting down.";
        Batch.Problem ??= _problem;
        _pairs.Finish(PairStatus.NotHeld);
        return null;
    }

    /// <summary>Notes that a call is given up: its pairs are open again.</summary>
    private void NoteSilent(DispatchCall call, long now)
    {
        TimeSpan duration = _time.GetElapsedTime(call.Sent, now);
        _problem = $"Shard {call.Channel.Shard} did not answer within {duration.TotalSeconds:0.#} s.";
        Note("unavailable", call, _problem, duration);
    }

    /// <summary>Sets when a call is late, if another shard may ever be asked.</summary>
    private void SetHedge(DispatchCall call) => call.HedgeAt = HasOther(call) ? _calls.LateAt(call) : long.MaxValue;

    /// <summary>Whether a pair that waits for the call is on another shard, too, whether that may be asked just now or not.</summary>
    private bool HasOther(DispatchCall call)
    {
        for (int i = 0; i < call.Pairs.Length; i++)
        {
            if (call.Holds(i) && _pairs.IsPending(call.Pairs[i]) && _routes.IsElsewhere(_routes.Index(Batch, call.Pairs[i]), call.Place))
                return true;
        }

        return false;
    }

    private bool MayHedge(DispatchCall call)
    {
        for (int i = 0; i < call.Pairs.Length; i++)
        {
            if (call.Holds(i) && MayAskOther(call, call.Pairs[i]))
                return true;
        }

        return false;
    }

    private bool MayAskOther(DispatchCall call, int pair) => _pairs.IsPending(pair) && _routes.HasOther(_routes.Index(Batch, pair), call.Place);

    /// <summary>
    /// Frees the pairs of a call that is late, where another replica may be asked. It is looked at again when it is twice as late:
    /// the other may have been late just now, or too much hedged.
    /// </summary>
    private void Hedge(DispatchCall call, long now)
    {
        call.HedgeAt = HasOther(call) ? now + (now - call.Sent) : long.MaxValue;
        if (!MayHedge(call) || !_dispatcher.Hedges.TrySpend())
            return;
        _routes.NoteLate(call);
        _pairs.SetAsked(call, false);
        call.SetLate(pair => MayAskOther(call, pair));
        _pairs.SetAsked(call, true);
        if (call.Place >= 0)
            _dispatcher.NoteLate(call.Channel.Shard, _routes.Table!.Pace(call.Place), _time.GetElapsedTime(call.Sent, now));
        Record("hedged", call.Routes.Name(call.Shard), _time.GetElapsedTime(call.Sent, now));
    }

    /// <summary>Sends the open pairs that have a shard to ask now.</summary>
    private void Send(RouteTable routes, long now)
    {
        bool retries = _patience.TakeRetry(now);
        if (!TryShare(routes))
            return;

        ReadOnlySpan<int> experts = Batch.ExpertIds.Span;
        bool waits = false;
        _frames.Begin(routes.Shards);
        for (int pair = 0; pair < _pairs.Count; pair++)
        {
            if (!_pairs.IsOpen(pair))
                continue;
            int shard = _shares.Take(experts[pair]);
            if (shard < 0)
                _problem = routes.Plan.Incomplete ?? _problem ?? $"expert {experts[pair]} of layer {Batch.Layer} is on no shard";
            else if (_routes.FailedSince(shard) == 0 || retries)
                _frames.Add(pair, shard);
            else
                waits = true;
        }

        if (waits)
            _patience.RetryLater(now);

        _frames.Group();
        int limit = FrameLimits.PairsPerFrame(Batch.HiddenSize);
        for (int shard = 0; shard < routes.Shards; shard++)
        {
            // One frame a shard, unless it would be too large.
            (int start, int end) = _frames.Range(shard);
            for (; start < end; start += limit)
                Send(routes, shard, start, Math.Min(limit, end - start), now);
        }
    }

    /// <summary>Shares the open pairs out over shards; false when there are none.</summary>
    private bool TryShare(RouteTable routes)
    {
        ReadOnlySpan<int> experts = Batch.ExpertIds.Span;
        ExpertGrid grid = routes.Plan.Grid;
        bool isAny = false;
        _shares.Begin(_routes);
        for (int pair = 0; pair < _pairs.Count; pair++)
        {
            if (!_pairs.IsOpen(pair))
                continue;
            if (grid.Contains(Batch.Layer, experts[pair]))
            {
                _shares.Count(experts[pair]);
                isAny = true;
                continue;
            }

            Batch.Problem ??= $"There is no expert {experts[pair]} in layer {Batch.Layer}: the model has {grid.Experts}.";
            _pairs.Set(pair, PairStatus.Failed);
        }

        if (isAny)
            _shares.Share(grid.Index(Batch.Layer, 0));
        return isAny;
    }

    private void Send(RouteTable routes, int shard, int start, int count, long now)
    {
        ReadOnlySpan<int> pairs = _frames.Pairs(start, count);
        ExpertFrame frame = _frames.Build(Batch, start, count, routes.Plan.Shards[shard].Incarnation, routes.Plan.Epoch, _trace);
        DispatchCall call = _calls.Send(routes, shard, pairs, frame, now);
        _pairs.SetAsked(call, true);
        _dispatcher.Hedges.Earn();
        SetHedge(call);
    }

    /// <summary>Sees to the pairs that nobody is asked for just now; how long to wait for the others.</summary>
    private TimeSpan? Park(TimeSpan left, long now)
    {
        if (_pairs.HasOpen)
        {
            left = Shorter(left, _patience.Wait(Batch, now));
            if (_pairs.Statuses.Contains(PairStatus.NotHeld))
                Batch.Problem ??= _problem;
            if (_pairs.HasPending)
                _planSignal.Watch(_routes.Table?.Plan.Epoch ?? Epoch.None);
        }

        return _pairs.HasPending ? left : null;
    }

    private void TakeAnswers()
    {
        while (_calls.TakeAnswered() is { } call)
        {
            (string outcome, string? problem) = _answers.Take(call, Batch);
            Note(outcome, call, problem, _time.GetElapsedTime(call.Sent));
            _problem = problem ?? _problem;
            _calls.Reuse(call);
        }
    }

    private void Note(string outcome, DispatchCall call, string? problem, TimeSpan duration)
    {
        _pairs.SetAsked(call, false);
        _routes.Note(outcome, call, duration);
        Record(outcome, call.Routes.Name(call.Shard), duration);
        if (outcome != "ok" && !_stopping.IsCancellationRequested)
            _dispatcher.LogCall(call.Channel.Shard, Batch.Layer, outcome, duration, problem ?? Batch.Problem);
    }

    private static TimeSpan Shorter(TimeSpan left, TimeSpan right) => left < right ? left : right;
}
