using System.Diagnostics;
using System.Runtime.CompilerServices;
using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Scheduling;
using K2Cluster.Telemetry;
using K2Cluster.Trunk;

namespace K2Cluster.Engine;

/// <summary>
/// Runs the trunk for all requests together, step by step, on a thread of its own. The trunk stays the caller's to dispose,
/// after the engine. (Not called Engine: in our other rooms that name means this namespace.)
/// </summary>
public sealed class GenerationEngine : IEngine, IEngineCounts, IAsyncDisposable
{
    /// <summary>How long disposal waits for a step in progress, beyond the grace.</summary>
    private static readonly TimeSpan StepLimit = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(40);

    /// <summary>How long after its time limit a reader is let go although the loop, held by a step, has not ended the request.</summary>
    private static readonly TimeSpan ReaderMargin = TimeSpan.FromMilliseconds(500);

    private readonly ITrunk _trunk;
    private readonly EngineOptions _options;
    private readonly TimeProvider _time;
    private readonly long _start;
    private readonly LayerRange _layers;
    private readonly RequestLimits _limits;
    private readonly Scheduler _scheduler;
    private readonly CompletionRate _rate = new();
    private readonly TrunkBatch _batch = new();
    private readonly TrunkResult _result = new();
    private readonly StepTelemetry _telemetry;
    private readonly IDisposable _observation;
    private readonly ITimer _timer;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // What other threads tell the loop, under the lock _gate (a Monitor: the loop waits on it).
    private readonly object _gate = new();
    private readonly List<Sequence> _arrivals = [];
    private bool _news;
    private bool _retriesNow;
    private bool _closed;
    private TimeSpan? _stopAt;
    private int _waiting;

    /// <summary>How many more would run at once if they came: none where others wait already, for what they lack.</summary>
    private int _places;

    /// <param name="trunk">Used by the engine's thread alone from now on.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="time">Null for the system's.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public GenerationEngine(ITrunk trunk, EngineOptions? options = null, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(trunk);
        _trunk = trunk;
        _options = options ?? new EngineOptions();
        _options.Validate();
        _options = _options with { StepTokens = Math.Min(_options.StepTokens, trunk.MaxRows) };
        _time = time ?? TimeProvider.System;
        _start = _time.GetTimestamp();
        _layers = new LayerRange(0, trunk.LayerCount);
        _places = _options.MaxRunning;
        Pages = new KvPages(trunk.PageCount, _options.PrefixCache);
        _limits = new RequestLimits(trunk, _options);
        _scheduler = new Scheduler(Pages, new Sampler(trunk.VocabularySize), _options);
        _telemetry = new StepTelemetry(_scheduler);
        _timer = _time.CreateTimer(static engine => ((GenerationEngine)engine!).Wake(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _observation = K2Telemetry.Observe(this);
        // Unsafe: the loop must not inherit the trace of whoever made the engine.
        new Thread(Run) { Name = "k2-engine", IsBackground = true }.UnsafeStart();
    }

    /// <inheritdoc/>
    public int MaxContext => _limits.MaxContext;

    /// <inheritdoc/>
    public int MaxRequests => _options.MaxRunning + _options.MaxWaiting;

    /// <inheritdoc/>
    public int VocabularySize => _trunk.VocabularySize;

    /// <summary>Ends when the loop has: after disposal, or with an error that only a fault of the engine itself can raise.</summary>
    public Task Completion => _completion.Task;

    int IEngineCounts.WaitingRequests => Volatile.Read(ref _waiting);

    int IEngineCounts.RunningRequests => _scheduler.Running;

    int IEngineCounts.UsedPages => Pages.Count - Pages.Available;

    int IEngineCounts.CachedPages => Pages.Cached;

    int IEngineCounts.FreePages => Pages.Free;

    internal KvPages Pages { get; }

    internal Scheduler Scheduler => _scheduler;

    internal int Places => Volatile.Read(ref _places);

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <inheritdoc/>
    public IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationRequest request, CancellationToken cancellationToken = default)
    {
        int drafts = Math.Min(request.DraftTokens ?? _options.DraftTokens, _options.DraftTokens);
        Sequence sequence = new(request, _limits.Check(request), Now + request.TimeLimit, drafts) { Trace = Activity.Current?.Context ?? default };
        // Before it is queued: from then on it belongs to the loop.
        sequence.Cancellation = cancellationToken.UnsafeRegister(state => Cancel((Sequence)state!), sequence);
        try
        {
            Enqueue(sequence);
        }
        catch
        {
            sequence.Cancellation.Unregister();
            throw;
        }

        return ReadAsync(sequence, cancellationToken);
    }

    /// <summary>Experts that requests wait for may be there now: they are replayed at once, not after the pauses of <see cref="EngineOptions.MaxRetryDelay"/>.</summary>
    public void RetryNow()
    {
        lock (_gate)
        {
            _retriesNow = true;
            Signal();
        }
    }

    /// <summary>
    /// Refuses new requests, ends those that have not begun, lets the others go on for <see cref="EngineOptions.StopGrace"/>, ends
    /// them and the thread.
    /// </summary>
    /// <exception cref="TimeoutException">The trunk did not come back from a step within a minute; it is still in use.</exception>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _closed = true;
            _stopAt ??= Now + _options.StopGrace;
            Signal();
        }

        try
        {
            // By the system's clock: this bounds the wait for a thread, whatever clock the requests go by.
            await _completion.Task.WaitAsync(_options.StopGrace + StepLimit).ConfigureAwait(false);
        }
        catch (Exception) when (_completion.Task.IsFaulted)
        {
            // Completion tells; disposal has nothing to add.
        }
        finally
        {
            _observation.Dispose();
            await _timer.DisposeAsync().ConfigureAwait(false);
        }
    }

    private void Enqueue(Sequence sequence)
    {
        lock (_gate)
        {
            if (_closed)
                throw new GenerationException(GenerationFailure.Stopped, $"Request '{sequence.Request.Id}' was refused: the engine is stopping.");
            int tooMany = _waiting + _arrivals.Count - _places - _options.MaxWaiting + 1;
            if (tooMany > 0)
            {
                // More than one where preempted requests came back to the queue: they go first.
                TimeSpan retryAfter = _rate.TimeToNext(Now, tooMany);
                throw new EngineBusyException($"{_options.MaxWaiting} requests are waiting, the most allowed; try again in {retryAfter.TotalSeconds:0.#} s.", retryAfter);
            }

            _arrivals.Add(sequence);
            Signal();
        }
    }

    private async IAsyncEnumerable<GeneratedToken> ReadAsync(Sequence sequence, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (!sequence.TryTakeReader())
            throw new InvalidOperationException($"The tokens of request '{sequence.Request.Id}' can be read once only.");
        // By the system's clock: it is the loop's thread that may be late. Time limits of days exceed a timer's range.
        TimeSpan limit = sequence.Request.TimeLimit + ReaderMargin;
        using Timer late = new(static state => ((Sequence)state!).Release(TimedOut((Sequence)state)), sequence, limit < LongestTimer ? limit : LongestTimer, Timeout.InfiniteTimeSpan);
        // Both end the channel from outside: waiting with a token would allocate for each wait, that is for each token.
        using CancellationTokenRegistration gone = cancellationToken.UnsafeRegister(
            static (state, token) => ((Sequence)state!).Release(new OperationCanceledException(token)), sequence);
        bool readToTheEnd = false;
        try
        {
            while (await sequence.Output.WaitToReadAsync(CancellationToken.None).ConfigureAwait(false))
            {
                while (sequence.Output.TryRead(out GeneratedToken token))
                    yield return token;
            }

            readToTheEnd = true;
        }
        finally
        {
            if (!readToTheEnd)
                Cancel(sequence);
        }
    }

    private static GenerationException TimedOut(Sequence sequence) =>
        new(GenerationFailure.TimedOut, $"Request '{sequence.Request.Id}' passed its time limit of {sequence.Request.TimeLimit.TotalSeconds:0.#} s; a step has held it up.");

    private void Cancel(Sequence sequence)
    {
        sequence.Cancel();
        Wake();
    }

    private void Wake()
    {
        lock (_gate)
            Signal();
    }

    private void Signal()
    {
        _news = true;
        Monitor.Pulse(_gate);
    }

    private void Run()
    {
        try
        {
            while (Turn())
            {
            }

            _completion.SetResult();
        }
        catch (Exception error)
        {
            lock (_gate)
                _closed = true;
            TakeNews();
            _scheduler.Stop(running: true, GenerationFailure.Failed, $"The engine failed: {error.Message}", error);
            _completion.SetException(error);
        }
    }

    /// <summary>One round of the loop: news, ends, admissions, then a step or, where there is none to do, a wait.</summary>
    private bool Turn()
    {
        TimeSpan now = Now;
        TimeSpan? stopAt = TakeNews();
        long ended = _scheduler.Ended;
        _scheduler.Sweep(now);
        if (stopAt is not null)
        {
            _scheduler.Stop(running: stopAt <= now, GenerationFailure.Stopped, "The engine is stopping.");
            if (_scheduler.Running + _scheduler.Waiting == 0)
                return false;
        }

        _scheduler.Admit();
        TellQueue();
        bool scheduled = _scheduler.Schedule(_batch, now);
        if (scheduled)
        {
            Step();
            TellQueue();
        }

        _rate.Add(_scheduler.Ended - ended, Now);
        if (!scheduled)
            Park(_scheduler.NextEvent(now), stopAt);
        return true;
    }

    /// <summary>Tells those who submit how much room there is.</summary>
    private void TellQueue()
    {
        lock (_gate)
        {
            _waiting = _scheduler.Waiting;
            _places = _waiting > 0 ? 0 : _options.MaxRunning - _scheduler.Running;
        }
    }

    private TimeSpan? TakeNews()
    {
        lock (_gate)
        {
            _news = false;
            foreach (Sequence sequence in _arrivals)
                _scheduler.Add(sequence);
            _arrivals.Clear();
            if (_retriesNow)
                _scheduler.RetryNow();
            _retriesNow = false;
            _waiting = _scheduler.Waiting;
            return _stopAt;
        }
    }

    private void Step()
    {
        long started = _time.GetTimestamp();
        using (Activity? activity = StepActivity.Start(_scheduler.Step, _batch.Rows))
        {
            try
            {
                _trunk.Run(_batch, _layers, _result);
                _scheduler.Commit(_batch, _result, Now);
            }
            catch (Exception error)
            {
                // Each time at least one request ends, so a trunk that always throws empties the engine; it does not spin.
                activity?.SetStatus(ActivityStatusCode.Error, error.Message);
                _scheduler.Fail(error);
            }
        }

        _telemetry.Record(_time.GetElapsedTime(started));
    }

    /// <summary>Waits for news, or until the moment at which something is to be done; with neither, the engine is idle.</summary>
    private void Park(TimeSpan? next, TimeSpan? stopAt)
    {
        TimeSpan from = Now;
        TimeSpan? due = stopAt < next ? stopAt : next;
        if (due is not null)
        {
            // Timers count whole milliseconds: rounded down, they would fire early and again.
            double milliseconds = Math.Ceiling((due.Value - from).TotalMilliseconds);
            _timer.Change(TimeSpan.FromMilliseconds(Math.Max(0, milliseconds)), Timeout.InfiniteTimeSpan);
        }

        lock (_gate)
        {
            while (!_news)
                Monitor.Wait(_gate);
        }

        if (next is null)
            _rate.Idle(from, Now);
    }
}
