using K2Cluster.Contracts;

namespace K2Cluster.Grains.Placement;

/// <summary>
/// The speeds that shards are planned with: what they measured, but the same as last time while that wavers only, and the same
/// for all of a kind that are about as fast; for one that has computed too little, what its like did.
/// </summary>
internal sealed class ShardSpeeds
{
    /// <summary>A speed is taken up when it is so many times what is in use, or that part of it.</summary>
    private const double Change = 1.25;

    /// <summary>Shards of one kind within this factor of their median are taken as alike: other work on a host makes as much of a difference.</summary>
    private const double Alike = 1.5;

    /// <summary>How many times the rows of a host a device of its own is taken to compute, until one of both was measured.</summary>
    private const double DeviceOverHost = 50;

    private readonly Dictionary<ShardId, (long Incarnation, double Speed)> _used = [];

    public double[] Of(ShardReport[] shards)
    {
        foreach (ShardReport shard in shards.Where(shard => double.IsFinite(shard.RowsPerSecond) && shard.RowsPerSecond > 0))
        {
            bool isKnown = _used.TryGetValue(shard.Shard.Id, out (long Incarnation, double Speed) used) && used.Incarnation == shard.Shard.Incarnation;
            double ratio = isKnown ? shard.RowsPerSecond / used.Speed : 0;
            if (ratio is < 1 / Change or > Change)
                _used[shard.Shard.Id] = (shard.Shard.Incarnation, shard.RowsPerSecond);
        }

        return [.. shards.Select(shard => Known(shard) is { } known ? Smooth(shards, shard, known) : Assume(shards, shard))];
    }

    public void Forget(ShardId shard) => _used.Remove(shard);

    private double? Known(ShardReport shard) => _used.TryGetValue(shard.Shard.Id, out (long Incarnation, double Speed) used) && used.Incarnation == shard.Shard.Incarnation ? used.Speed : null;

    private double Smooth(ShardReport[] shards, ShardReport shard, double known)
    {
        double median = Median(shards.Where(other => other.Shard.Kind == shard.Shard.Kind))!.Value;
        return known / median is > 1 / Alike and < Alike ? median : known;
    }

    private double Assume(ShardReport[] shards, ShardReport shard)
    {
        double? ofLike = Median(shards.Where(other => other.Shard.Kind == shard.Shard.Kind)) ?? Median(shards.Where(other => other.UsesHostThreads == shard.UsesHostThreads));
        if (ofLike is not null)
            return ofLike.Value;
        double ofOthers = Median(shards) ?? (shard.UsesHostThreads ? DeviceOverHost : 1);
        return shard.UsesHostThreads ? ofOthers / DeviceOverHost : ofOthers * DeviceOverHost;
    }

    private double? Median(IEnumerable<ShardReport> shards)
    {
        double[] known = [.. shards.Select(Known).OfType<double>().Order()];
        return known.Length == 0 ? null : known[known.Length / 2];
    }
}
