using System.Collections.Concurrent;
using System.Collections.Immutable;
using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Experts;
using K2Cluster.Telemetry;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// Makes the cluster one big device: sends each (row, expert) of a batch to a shard that holds the expert under the current
/// plan, and puts the answers where they belong. Each batch in flight is a <see cref="BatchDispatch"/>, reused.
/// </summary>
internal sealed partial class ExpertDispatcher : IExperts, IDisposable
{
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(1);

    private readonly IPlanSource _plans;
    private readonly IChannelFactory _factory;
    private readonly BatchDispatch[] _slots;
    private readonly Lock _lock = new();
    private readonly Dictionary<ShardId, (PlannedShard Shard, IExpertChannel Channel, ShardPace Pace)> _channels = [];
    private readonly ConcurrentDictionary<ShardId, long> _logged = new();
    private readonly ConcurrentDictionary<ShardId, long> _loggedFaults = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly DispatchOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private RouteTable? _routes;
    private long _lastNumber;
    private bool _disposed;

    public ExpertDispatcher(IPlanSource plans, IChannelFactory factory, DispatchOptions options, TimeProvider time, ILogger<ExpertDispatcher> log)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxInFlight, 2);
        (_plans, _factory, _options, _time, _log) = (plans, factory, options, time, log);
        Hedges = new HedgeBudget(options.HedgePercent);
        Faults = new ExpertFaults(time);
        _slots = new BatchDispatch[options.MaxInFlight];
        for (int i = 0; i < _slots.Length; i++)
            _slots[i] = new BatchDispatch(this, plans, options, time, _stopping.Token);
    }

    public int MaxInFlight => _slots.Length;

    /// <summary>Replicas that gave no finite numbers.</summary>
    internal ExpertFaults Faults { get; }

    internal HedgeBudget Hedges { get; }

    public bool ComputesOnCollect => Routes()?.Here is not null;

    public ExpertTicket Submit(ExpertBatch batch)
    {
        BatchDispatch? free = null;
        ExpertTicket ticket;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            foreach (BatchDispatch slot in _slots)
            {
                if (slot.Number == 0)
                    free ??= slot;
                else if (ReferenceEquals(slot.Batch, batch))
                    throw new InvalidOperationException("The batch is in flight already: collect its ticket first.");
            }

            if (free is null)
                throw new InvalidOperationException($"{MaxInFlight} batches are in flight, which is the limit: collect a ticket first.");
            ticket = new ExpertTicket(batch, ++_lastNumber);
            free.Reserve(ticket);
        }

        free.Start();
        return ticket;
    }

    /// <summary>Returns at the latest <see cref="DispatchOptions.Limit"/> after the batch was submitted, and soon after a disposal.</summary>
    public void Collect(ExpertTicket ticket)
    {
        BatchDispatch slot = FindSlot(ticket)
            ?? throw new InvalidOperationException($"Ticket {ticket.Number} is not in flight: it was collected, or is none of this dispatcher.");
        slot.Wait();
        lock (_lock)
        {
            slot.Release();
            if (_disposed)
                slot.Dispose();
        }
    }

    /// <summary>Ends the batches in flight: their open rows are Unavailable. A slot lives until its ticket is collected.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed)
                return;
            _disposed = true;
            foreach (BatchDispatch slot in _slots)
            {
                if (slot.Number == 0)
                    slot.Dispose();
            }

            Release([.. _channels.Values.Select(way => way.Channel)], []);
        }

        _stopping.Cancel(); // not disposed: batches in flight still look at it
    }

    /// <summary>Says what became of a call that was not answered as it should be, once a second for a shard.</summary>
    internal void LogCall(ShardId shard, int layer, string outcome, TimeSpan duration, string? reason)
    {
        if (MayLog(_logged, shard, LogInterval))
            LogFailed(_log, shard, layer, outcome, duration.TotalMilliseconds, reason ?? "no reason given");
    }

    /// <summary>Has a shard that was late avoided for a while, and says now and then how often it was.</summary>
    internal void NoteLate(ShardId shard, ShardPace pace, TimeSpan duration)
    {
        pace.Late(_options.FirstAvoidance, _options.LongestAvoidance);
        if (pace.LateCalls.Add(duration, out LateCalls.Summary late))
            LogLate(_log, shard.Silo, shard.Slot, late.Count, late.Past.TotalSeconds, late.Least.TotalMilliseconds, late.Most.TotalMilliseconds);
    }

    /// <summary>Counts that a shard gave no finite numbers for an expert, and says so, once in a quarantine for a shard: a bad device may do so for all it has.</summary>
    internal void NoteFault(RouteTable routes, int shard, int layer, int expert)
    {
        K2Telemetry.ExpertFaults.Add(1, new("k2.shard", routes.Name(shard)), new("k2.layer", layer), new("k2.expert", expert));
        if (MayLog(_loggedFaults, routes.Plan.Shards[shard].Id, ExpertFaults.Quarantine))
            LogFault(_log, routes.Plan.Shards[shard].Id, expert, layer, ExpertFaults.Quarantine.TotalSeconds);
    }

    private bool MayLog(ConcurrentDictionary<ShardId, long> logged, ShardId shard, TimeSpan interval)
    {
        long now = _time.GetTimestamp();
        return logged.TryGetValue(shard, out long last) ? _time.GetElapsedTime(last, now) >= interval && logged.TryUpdate(shard, now, last) : logged.TryAdd(shard, now);
    }

    // A loop: a lambda would be an object for each call.
    private BatchDispatch? FindSlot(ExpertTicket ticket)
    {
        foreach (BatchDispatch slot in _slots)
        {
            if (slot.Number == ticket.Number && ReferenceEquals(slot.Batch, ticket.Batch))
                return slot;
        }

        return null;
    }

    /// <summary>The way to every shard of the newest plan; null before the first one.</summary>
    internal RouteTable? Routes()
    {
        PlacementPlan? plan = _plans.Current;
        RouteTable? routes = Volatile.Read(ref _routes);
        if (plan is null || ReferenceEquals(routes?.Plan, plan))
            return routes;

        lock (_lock)
        {
            if (ReferenceEquals(_routes?.Plan, plan))
                return _routes;

            // A shard keeps its channel from plan to plan, and with it the count of its calls in flight, but not in another life.
            ImmutableArray<PlannedShard> shards = plan.Shards;
            List<IExpertChannel> unused = [];
            foreach (ShardId gone in _channels.Keys.Except(shards.Select(shard => shard.Id)).ToArray())
            {
                _channels.Remove(gone, out (PlannedShard, IExpertChannel Channel, ShardPace) way);
                unused.Add(way.Channel);
                _logged.TryRemove(gone, out _);
                _loggedFaults.TryRemove(gone, out _);
            }

            Faults.Keep(shards);
            IExpertChannel[] channels = new IExpertChannel[shards.Length];
            ShardPace[] paces = new ShardPace[shards.Length];
            for (int i = 0; i < channels.Length; i++)
            {
                bool isKnown = _channels.TryGetValue(shards[i].Id, out (PlannedShard Shard, IExpertChannel Channel, ShardPace Pace) way);
                if (!isKnown || way.Shard != shards[i])
                {
                    if (isKnown)
                        unused.Add(way.Channel);
                    way = (shards[i], _factory.Create(shards[i]), way.Pace ?? new ShardPace(_time));
                    _channels[shards[i].Id] = way;
                }

                (_, channels[i], paces[i]) = way;
            }

            _routes = new RouteTable(plan, channels, paces, _routes, _time);
            Release(unused, channels);
            return _routes;
        }
    }

    /// <summary>After the new ones were made: what both use, as the connections to a silo, stays.</summary>
    private static void Release(List<IExpertChannel> unused, IExpertChannel[] used)
    {
        foreach (IExpertChannel channel in unused)
        {
            if (channel is IDisposable disposable && !used.Contains(channel))
                disposable.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Shard {Shard} gave NaN or infinite numbers for expert {Expert} of layer {Layer}: it loads that expert anew, and is not asked for it for {Seconds:0} s, unless it alone has it and gave them before. If this comes again, check the memory of its device (ECC errors: nvidia-smi -q -d ECC for a GPU, the kernel's log for a host) and take the silo out")]
    private static partial void LogFault(ILogger logger, ShardId shard, int expert, int layer, double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "Late answers of {Silo}/{Slot}: {Count} in the last {Seconds:0} s (after {Least:0} to {Most:0} ms); other replicas were asked")]
    private static partial void LogLate(ILogger logger, string silo, int slot, int count, double seconds, double least, double most);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A call to shard {Shard} for layer {Layer} ended as {Outcome} after {Milliseconds:0} ms: {Reason}")]
    private static partial void LogFailed(ILogger logger, ShardId shard, int layer, string outcome, double milliseconds, string reason);
}
