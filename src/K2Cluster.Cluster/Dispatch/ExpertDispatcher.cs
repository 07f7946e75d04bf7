using System.Collections.Immutable;
using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// Makes the cluster one big device: sends each (row, expert) of a batch to a shard that holds the expert under the current
/// plan, and puts the answers where they belong. Each batch in flight is a <see cref="BatchDispatch"/>, reused.
/// </summary>
internal sealed class ExpertDispatcher : IExperts, IDisposable
{
    private readonly IPlanSource _plans;
    private readonly IChannelFactory _factory;
    private readonly BatchDispatch[] _slots;
    private readonly Lock _lock = new();
    private readonly Dictionary<ShardId, IExpertChannel> _channels = [];
    private RouteTable? _routes;
    private long _lastNumber;

    public ExpertDispatcher(IPlanSource plans, IChannelFactory factory, DispatchOptions options, TimeProvider time)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxInFlight, 2);
        (_plans, _factory) = (plans, factory);
        _slots = new BatchDispatch[options.MaxInFlight];
        for (int i = 0; i < _slots.Length; i++)
            _slots[i] = new BatchDispatch(this, plans, options, time);
    }

    public int MaxInFlight => _slots.Length;

    public ExpertTicket Submit(ExpertBatch batch)
    {
        BatchDispatch? free = null;
        ExpertTicket ticket;
        lock (_lock)
        {
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

    public void Collect(ExpertTicket ticket)
    {
        BatchDispatch slot = Array.Find(_slots, slot => slot.Number == ticket.Number && ReferenceEquals(slot.Batch, ticket.Batch))
            ?? throw new InvalidOperationException($"Ticket {ticket.Number} is not in flight: it was collected, or is none of this dispatcher.");
        slot.Wait();
        slot.Release();
    }

    public void Dispose()
    {
        foreach (BatchDispatch slot in _slots)
            slot.Dispose();
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
                _channels.Remove(gone);
            IExpertChannel[] channels = new IExpertChannel[shards.Length];
            for (int i = 0; i < channels.Length; i++)
            {
                if (!_channels.TryGetValue(shards[i].Id, out IExpertChannel? channel))
                    _channels.Add(shards[i].Id, channel = _factory.Create(shards[i].Id));
                channels[i] = channel;
            }

            _routes = new RouteTable(plan, channels);
            return _routes;
        }
    }
}
