using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// A plan with a channel for each of its shards, and since when what is missing or failing under it does: all batches share
/// that, so that not each of them waits for the same expert.
/// </summary>
internal sealed class RouteTable
{
    private readonly IExpertChannel[] _channels;
    private readonly ShardPace[] _paces;
    private readonly string[] _names;
    private readonly long[] _failedSince;
    private readonly long[] _notHeldSince;
    private readonly TimeProvider _time;

    /// <param name="plan">The plan.</param>
    /// <param name="channels">In the order of the plan's shards.</param>
    /// <param name="paces">Likewise.</param>
    /// <param name="previous">The table before: what failed then and is planned still has failed for longer.</param>
    /// <param name="time">The clock.</param>
    public RouteTable(PlacementPlan plan, IExpertChannel[] channels, ShardPace[] paces, RouteTable? previous, TimeProvider time)
    {
        (Plan, _channels, _paces, _time) = (plan, channels, paces, time);
        _names = Array.ConvertAll(channels, channel => channel.Shard.ToString());
        _failedSince = new long[channels.Length];
        _notHeldSince = new long[channels.Length];

        // While experts load, a plan follows the other: experts that were missing before have waited already.
        MissingSince = previous?.Plan.Incomplete is not null ? previous.MissingSince : time.GetTimestamp();
        for (int shard = 0; shard < channels.Length; shard++)
        {
            int before = previous?.Plan.Shards.IndexOf(plan.Shards[shard]) ?? -1;
            if (before >= 0)
                _failedSince[shard] = Volatile.Read(ref previous!._failedSince[before]);
        }
    }

    public PlacementPlan Plan { get; }

    public int Shards => _channels.Length;

    /// <summary>When (timestamp) a plan came first by which experts have no replica.</summary>
    public long MissingSince { get; }

    /// <summary>The one shard of the plan, if it computes on the threads of its callers; else null.</summary>
    public IExpertChannel? Here => _channels is [{ ComputesHere: true } only] ? only : null;

    public IExpertChannel Channel(int shard) => _channels[shard];

    public ShardPace Pace(int shard) => _paces[shard];

    /// <summary>Pairs that the shard computes in a second, as the plan says it; only the ratio to other shards counts.</summary>
    public float Speed(int shard) => Plan.Speeds.IsDefaultOrEmpty ? 1 : Plan.Speeds[shard];

    /// <summary>The shard's id as text, for tags.</summary>
    public string Name(int shard) => _names[shard];

    /// <summary>Notes that a shard failed a call; since when it only does.</summary>
    public long Failed(int shard) => Begin(ref _failedSince[shard]);

    /// <summary>Notes that a shard lacks an expert which it has by this plan; since when it does. Its other calls say nothing about that.</summary>
    public long NotHeld(int shard) => Begin(ref _notHeldSince[shard]);

    /// <summary>Notes that a shard answers.</summary>
    public void Answered(int shard) => Volatile.Write(ref _failedSince[shard], 0);

    private long Begin(ref long since)
    {
        long now = _time.GetTimestamp();
        long before = Interlocked.CompareExchange(ref since, now, 0);
        return before == 0 ? now : before;
    }
}
