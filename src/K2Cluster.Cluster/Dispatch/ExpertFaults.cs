using System.Collections.Concurrent;
using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// Experts that gave a NaN or an infinity on a shard: memory gone bad, most likely. Such a replica is not asked for a while,
/// in which it can be loaded anew. Where every replica gives it, the input is to blame and not the shards.
/// </summary>
internal sealed class ExpertFaults(TimeProvider time)
{
    /// <summary>How long a replica is not asked.</summary>
    public static readonly TimeSpan Quarantine = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan Memory = TimeSpan.FromMinutes(5);

    private readonly ConcurrentDictionary<(PlannedShard Shard, int Expert), Fault> _faults = new();
    private volatile bool _any;

    /// <summary>Notes that a shard's replica of an expert (index of the grid) is bad.</summary>
    /// <returns>How often it was, lately, this time included.</returns>
    public int Add(PlannedShard shard, int expert)
    {
        long now = time.GetTimestamp();
        Fault fault = _faults.AddOrUpdate(
            (shard, expert),
            static (_, now) => new Fault(now, 1),
            (_, before, now) => time.GetElapsedTime(before.Since, now) < Quarantine ? before : new Fault(now, time.GetElapsedTime(before.Since, now) < Memory ? before.Times + 1 : 1),
            now);
        _any = true;
        return fault.Times;
    }

    /// <summary>Whether a replica is not to be asked just now.</summary>
    public bool IsQuarantined(PlannedShard shard, int expert) =>
        _any && _faults.TryGetValue((shard, expert), out Fault fault) && time.GetElapsedTime(fault.Since) < Quarantine;

    /// <summary>An expert gave it on several shards: none of them is to blame.</summary>
    public void Forgive(int expert)
    {
        foreach ((PlannedShard Shard, int Expert) key in _faults.Keys.Where(key => key.Expert == expert))
            _faults.TryRemove(key, out _);
    }

    /// <summary>Forgets shards that are gone.</summary>
    public void Keep(IReadOnlyCollection<PlannedShard> shards)
    {
        if (!_any)
            return;
        foreach ((PlannedShard Shard, int Expert) key in _faults.Keys.Where(key => !shards.Contains(key.Shard)))
            _faults.TryRemove(key, out _);
        _any = !_faults.IsEmpty;
    }

    private readonly record struct Fault(long Since, int Times);
}
