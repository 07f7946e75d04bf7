using System.Collections.Concurrent;
using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// Experts that gave a NaN or an infinity on a shard: memory gone bad, most likely. Such a replica is not asked for a while,
/// in which it can be loaded anew. Where every replica gives it, the input is to blame and not the shards: so it is, too,
/// when an only replica does so again after that while, and other requests are not to wait for it.
/// </summary>
internal sealed class ExpertFaults(TimeProvider time)
{
    /// <summary>How long a replica is not asked.</summary>
    public static readonly TimeSpan Quarantine = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan Memory = TimeSpan.FromMinutes(5);

    private readonly ConcurrentDictionary<(PlannedShard Shard, int Expert), Fault> _faults = new();
    private volatile bool _any;

    /// <summary>Notes that a shard's replica of an expert (index of the grid) is bad, and whether it is the only one.</summary>
    /// <returns>How often it was, lately, this time included; and whether that is news, or a part of what is known already.</returns>
    public (int Times, bool IsNew) Add(PlannedShard shard, int expert, bool isOnly)
    {
        Fault fault = _faults.AddOrUpdate(
            (shard, expert),
            static (_, now) => new Fault(now.Timestamp, 1, IsQuarantined: true),
            (_, before, now) =>
            {
                TimeSpan since = time.GetElapsedTime(before.Since, now.Timestamp);
                return since < Quarantine ? before with { Again = true, IsQuarantined = before.IsQuarantined || !now.IsOnly }
                    : since < Memory ? new Fault(now.Timestamp, before.Times + 1, IsQuarantined: !now.IsOnly)
                    : new Fault(now.Timestamp, 1, IsQuarantined: true);
            },
            (Timestamp: time.GetTimestamp(), IsOnly: isOnly));
        _any = true;
        return (fault.Times, !fault.Again);
    }

    /// <summary>Whether to tell a shard of its bad replica: once in the time of a quarantine.</summary>
    public bool MayTell(PlannedShard shard, int expert) =>
        _faults.TryGetValue((shard, expert), out Fault fault) && !fault.IsTold && _faults.TryUpdate((shard, expert), fault with { IsTold = true }, fault);

    /// <summary>Whether a replica is not to be asked just now.</summary>
    public bool IsQuarantined(PlannedShard shard, int expert) =>
        _any && _faults.TryGetValue((shard, expert), out Fault fault) && fault.IsQuarantined && time.GetElapsedTime(fault.Since) < Quarantine;

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

    private readonly record struct Fault(long Since, int Times, bool IsQuarantined, bool Again = false, bool IsTold = false);
}
