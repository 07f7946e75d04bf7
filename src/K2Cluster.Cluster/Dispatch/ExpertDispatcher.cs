using System.Collections.Concurrent;
using System.Collections.Immutable;
using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// Makes the cluster one big device: sends each (row, expert) of a batch to a shard that holds the expert under the current
/// plan, and puts the answers where they belong. Each batch in flight is a <see cref="BatchDispatch"/>, reused.
/// </summary>
internal sealed partial class ExpertDispatcher : IExperts, IDisposable
{
    /// <summary>Hedges that are allowed whatever their share.</summary>
    private const int FreeHedges = 16;

    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(1);

    private readonly IPlanSource _plans;
    private readonly IChannelFactory _factory;
    private readonly BatchDispatch[] _slots;
    private readonly Lock _lock = new();
    private readonly Dictionary<ShardId, (IExpertChannel Channel, ShardPace Pace)> _channels = [];
    private readonly ConcurrentDictionary<ShardId, long> _logged = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly int _hedgePercent;
    private RouteTable? _routes;
    private long _lastNumber;
    private long _sent;
    private long _hedged;
    private bool _disposed;

    public ExpertDispatcher(IPlanSource plans, IChannelFactory factory, DispatchOptions options, TimeProvider time, ILogger<ExpertDispatcher> log)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxInFlight, 2);
        (_plans, _factory, _time, _log, _hedgePercent) = (plans, factory, time, log, options.HedgePercent);
        Faults = new ExpertFaults(time);
        _slots = new BatchDispatch[options.MaxInFlight];
        for (int i = 0; i < _slots.Length; i++)
            _slots[i] = new BatchDispatch(this, plans, options, time, _stopping.Token);
    }

    public int MaxInFlight => _slots.Length;

    /// <summary>Replicas that gave no finite numbers.</summary>
    internal ExpertFaults Faults { get; }

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
        }

        _stopping.Cancel(); // not disposed: batches in flight still look at it
    }

    /// <summary>Counts a call that is sent.</summary>
    internal void CountCall() => Interlocked.Increment(ref _sent);

    /// <summary>Whether one more call may be asked of another replica, too. Counts it if so.</summary>
    internal bool MayHedge()
    {
        if (Volatile.Read(ref _hedged) >= FreeHedges + (Volatile.Read(ref _sent) * _hedgePercent / 100))
            return false;
        Interlocked.Increment(ref _hedged);
        return true;
    }

    /// <summary>Says what became of a call that was not answered as it should be, once a second for a shard.</summary>
    internal void LogCall(ShardId shard, int layer, string outcome, TimeSpan duration, string? reason)
    {
        long now = _time.GetTimestamp();
        bool isNew = !_logged.TryGetValue(shard, out long last);
        if (isNew ? _logged.TryAdd(shard, now) : _time.GetElapsedTime(last, now) >= LogInterval && _logged.TryUpdate(shard, now, last))
            LogFailed(_log, shard, layer, outcome, duration.TotalMilliseconds, reason ?? "no reason given");
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

            // A shard keeps its channel from plan to plan, and with it the count of its calls in flight.
            ImmutableArray<PlannedShard> shards = plan.Shards;
            foreach (ShardId gone in _channels.Keys.Except(shards.Select(shard => shard.Id)).ToArray())
            {
                _channels.Remove(gone);
                _logged.TryRemove(gone, out _);
            }

            Faults.Keep(shards);
            IExpertChannel[] channels = new IExpertChannel[shards.Length];
            ShardPace[] paces = new ShardPace[shards.Length];
            for (int i = 0; i < channels.Length; i++)
            {
                if (!_channels.TryGetValue(shards[i].Id, out (IExpertChannel, ShardPace) way))
                    _channels.Add(shards[i].Id, way = (_factory.Create(shards[i].Id), new ShardPace(_time)));
                (channels[i], paces[i]) = way;
            }

            _routes = new RouteTable(plan, channels, paces, _routes, _time);
            return _routes;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A call to shard {Shard} for layer {Layer} ended as {Outcome} after {Milliseconds:0} ms: {Reason}")]
    private static partial void LogFailed(ILogger logger, ShardId shard, int layer, string outcome, double milliseconds, string reason);
}
