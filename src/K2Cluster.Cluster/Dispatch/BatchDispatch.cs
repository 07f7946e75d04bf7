using System.Diagnostics;
using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;
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
    /// <summary>How often a call that is not answered is looked at, for its shard may have fallen silent.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromMilliseconds(250);

    private readonly ExpertDispatcher _dispatcher;
    private readonly IPlanSource _plans;
    private readonly DispatchOptions _options;
    private readonly TimeProvider _time;
    private readonly CancellationToken _stopping;
    private readonly CancellationTokenRegistration _stop;
    private readonly ManualResetEventSlim _signal = new();
    private readonly DispatchPairs _pairs = new();
    private readonly BatchAnswers _answers;
    private readonly BatchRoutes _routes;
    private readonly List<DispatchCall> _calls = [];
    private readonly Stack<DispatchCall> _unused = [];
    private readonly PlanSignal _planSignal;
    private readonly Action _setSignal;
    private FramePlan _frames = new(0);
    private Activity? _activity;
    private ActivityContext _trace;
    private RouteTable? _here;
    private string? _problem;
    private TimeSpan _backoff;
    private long _retryAt;
    private long _firstFailure;
    private long _start;
    private long _number;

    public BatchDispatch(ExpertDispatcher dispatcher, IPlanSource plans, DispatchOptions options, TimeProvider time, CancellationToken stopping)
    {
        (_dispatcher, _plans, _options, _time, _stopping) = (dispatcher, plans, options, time, stopping);
        (_answers, _routes) = (new BatchAnswers(_pairs, dispatcher.Faults), new BatchRoutes(dispatcher.Faults, time));
        _planSignal = new PlanSignal(plans, _signal);
        _setSignal = _signal.Set;
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
        (_problem, _backoff, _retryAt, _firstFailure) = (null, _options.FirstBackoff, 0, 0);
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
        while (_unused.TryPop(out DispatchCall? call))
            call.Dispose();
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
        foreach (DispatchCall call in _calls)
            call.GiveUp();
        _calls.Clear();
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
        GiveUpSilent(now);
        if (routes is not null)
        {
            Hedge(routes, now);
            Send(routes, now);
        }

        left = Shorter(left, Shorter(LongestWait, UntilLate(now)));
        return isFirst ? left : Park(routes, now, left);
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

        _routes.Use(routes);
        _retryAt = 0;
        return true;
    }

    private TimeSpan? GiveUpAll(long now)
    {
        foreach (DispatchCall call in _calls)
            _problem = _stopping.IsCancellationRequested ? "This process is shutting down." : GiveUp(call, now);
        if (_stopping.IsCancellationRequested)
            _problem = "This process is shutting down.";
        Batch.Problem ??= _problem;
        _pairs.Finish(PairStatus.NotHeld);
        return null;
    }

    /// <summary>Gives up calls that take too long, or whose shard has fallen silent: their pairs are open again.</summary>
    private void GiveUpSilent(long now)
    {
        for (int i = _calls.Count - 1; i >= 0; i--)
        {
            DispatchCall call = _calls[i];
            if (_time.GetElapsedTime(call.Sent, now) < _options.CallTimeout && !call.Channel.IsSilent)
                continue;
            _problem = GiveUp(call, now);
            call.GiveUp();
            _calls.RemoveAt(i);
        }
    }

    /// <summary>Notes that a call is given up; why, in words.</summary>
    private string GiveUp(DispatchCall call, long now)
    {
        TimeSpan duration = _time.GetElapsedTime(call.Sent, now);
        string problem = $"Shard {call.Channel.Shard} did not answer within {duration.TotalSeconds:0.#} s.";
        Note("unavailable", call, problem, duration);
        return problem;
    }

    /// <summary>Frees the pairs of calls that are late, where another replica may be asked.</summary>
    private void Hedge(RouteTable routes, long now)
    {
        foreach (DispatchCall call in _calls)
        {
            if (call.HedgeAt > now || !ReferenceEquals(call.Routes, routes))
                continue;
            call.HedgeAt = long.MaxValue;
            if (!_dispatcher.MayHedge())
                continue;
            _routes.NoteLate(call);
            _pairs.SetAsked(call, false);
            call.SetLate(pair => _pairs.IsPending(pair) && _routes.HasOther(Index(routes, pair), call.Shard));
            _pairs.SetAsked(call, true);
            if (routes.Pace(call.Shard).Late(_options.FirstAvoidance, _options.LongestAvoidance))
                _dispatcher.LogCall(call.Channel.Shard, Batch.Layer, "late", _time.GetElapsedTime(call.Sent, now), "asking other replicas");
            Record("hedged", routes.Name(call.Shard), _time.GetElapsedTime(call.Sent, now));
        }
    }

    /// <summary>Sends the open pairs that have a shard to ask now.</summary>
    private void Send(RouteTable routes, long now)
    {
        ReadOnlySpan<int> experts = Batch.ExpertIds.Span;
        ExpertGrid grid = routes.Plan.Grid;
        bool retries = _retryAt != 0 && now >= _retryAt;
        bool waits = false;
        _frames.Begin(routes.Shards);
        for (int pair = 0; pair < _pairs.Count; pair++)
        {
            if (!_pairs.IsOpen(pair))
                continue;
            if (!grid.Contains(Batch.Layer, experts[pair]))
            {
                Batch.Problem ??= $"There is no expert {experts[pair]} in layer {Batch.Layer}: the model has {grid.Experts}.";
                _pairs.Set(pair, PairStatus.Failed);
                continue;
            }

            int shard = _routes.Choose(grid.Index(Batch.Layer, experts[pair]));
            if (shard < 0)
                _problem = routes.Plan.Incomplete ?? _problem ?? $"expert {experts[pair]} of layer {Batch.Layer} is on no shard";
            else if (_routes.FailedSince(shard) == 0 || retries)
                _frames.Add(pair, shard);
            else
                waits = true;
        }

        if (retries)
            _retryAt = 0;
        if (waits && _retryAt == 0)
        {
            _retryAt = now + Ticks(_backoff);
            _backoff = Shorter(_backoff * 2, _options.LongestBackoff);
        }

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

    private void Send(RouteTable routes, int shard, int start, int count, long now)
    {
        ReadOnlySpan<int> pairs = _frames.Pairs(start, count);
        ExpertFrame frame = _frames.Build(Batch, start, count, routes.Plan.Shards[shard].Incarnation, routes.Plan.Epoch, _trace);
        if (!_unused.TryPop(out DispatchCall? call))
            call = new DispatchCall(_setSignal);
        call.Send(routes, shard, pairs, frame, now);
        _pairs.SetAsked(call, true);
        _dispatcher.CountCall();
        foreach (int pair in pairs)
        {
            if (!_routes.HasOther(Index(routes, pair), shard))
                continue;
            call.HedgeAt = now + (routes.Pace(shard).LateAfter(count, _options.ShortestHedge) ?? Ticks(_options.FirstHedge));
            break;
        }

        _calls.Add(call);
        if (call.IsAnswered)
            _signal.Set();
    }

    /// <summary>Gives up the open pairs whose expert is missing or failing for too long already; how long to wait for the others.</summary>
    private TimeSpan? Park(RouteTable? routes, long now, TimeSpan left)
    {
        bool parked = false;
        for (int pair = 0; pair < _pairs.Count && !parked; pair++)
            parked = _pairs.IsOpen(pair);
        if (!parked)
            return _pairs.HasPending ? left : null;

        _firstFailure = _firstFailure == 0 ? now : _firstFailure;
        TimeSpan patience = Shorter(_options.Patience - _time.GetElapsedTime(_firstFailure, now), GiveUpOpen(routes, now));
        if (patience <= TimeSpan.Zero)
            _pairs.Finish(PairStatus.NotHeld, openOnly: true);
        if (_pairs.Statuses.Contains(PairStatus.NotHeld))
            Batch.Problem ??= _problem;
        if (!_pairs.HasPending)
            return null;

        _planSignal.Watch(routes?.Plan.Epoch ?? Epoch.None);
        if (_retryAt != 0)
            left = Shorter(left, _time.GetElapsedTime(now, Math.Max(_retryAt, now)));
        return patience > TimeSpan.Zero ? Shorter(left, patience) : left;
    }

    private TimeSpan GiveUpOpen(RouteTable? routes, long now)
    {
        if (routes is null)
            return _options.Patience;
        TimeSpan longest = TimeSpan.Zero;
        for (int pair = 0; pair < _pairs.Count; pair++)
        {
            if (!_pairs.IsOpen(pair))
                continue;

            // The best of its shards counts; one that was not tried under this plan has all the time.
            ReadOnlySpan<int> replicas = routes.Plan.ReplicasOf(Index(routes, pair));
            long since = replicas.IsEmpty ? routes.MissingSince : long.MinValue;
            foreach (int shard in replicas)
                since = Math.Max(since, _routes.FailedSince(shard) is not 0 and var failed ? failed : now);
            TimeSpan left = _options.Patience - _time.GetElapsedTime(since, now);
            if (left <= TimeSpan.Zero)
                _pairs.Set(pair, PairStatus.NotHeld);
            longest = left > longest ? left : longest;
        }

        return longest;
    }

    private void TakeAnswers()
    {
        for (int i = _calls.Count - 1; i >= 0; i--)
        {
            DispatchCall call = _calls[i];
            if (!call.IsAnswered)
                continue;
            _calls.RemoveAt(i);
            (string outcome, string? problem) = _answers.Take(call, Batch);
            Note(outcome, call, problem, _time.GetElapsedTime(call.Sent));
            _problem = problem ?? _problem;
            if (call.TryReset())
                _unused.Push(call);
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

    private int Index(RouteTable routes, int pair) => routes.Plan.Grid.Index(Batch.Layer, Batch.ExpertIds.Span[pair]);

    /// <summary>How long until the next call is late.</summary>
    private TimeSpan UntilLate(long now)
    {
        long next = long.MaxValue;
        foreach (DispatchCall call in _calls)
            next = Math.Min(next, Math.Min(call.HedgeAt, call.Sent + Ticks(_options.CallTimeout)));
        return next == long.MaxValue ? TimeSpan.MaxValue : _time.GetElapsedTime(now, Math.Max(next, now));
    }

    private long Ticks(TimeSpan duration) => (long)(duration.TotalSeconds * _time.TimestampFrequency);

    private static TimeSpan Shorter(TimeSpan left, TimeSpan right) => left < right ? left : right;
}
