using System.Runtime.InteropServices;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// Shares the pairs of a round, of one layer, out over the replicas of their experts, so that all shards are done at about the
/// same time: a layer waits for the slowest. Experts with most pairs go first, each to the replica that would be done first with
/// it, by what that shard has in flight already and by the speed that the plan says it has (longest processing time first:
/// Graham, "Bounds on Multiprocessing Timing Anomalies", 1969). An expert stays whole, so that its weights are read once, unless
/// it alone is more than a shard's part. Count all pairs, share once, then take the shard of each.
/// </summary>
internal sealed class PairShares
{
    /// <summary>Reading an expert's weights takes about as long as computing so many pairs: less for a small host, more for a GPU.</summary>
    private const int ReadPairs = 8;

    /// <summary>A smaller part of an expert is not worth a second read of it.</summary>
    private const int LeastPart = 16;

    private readonly List<Part> _parts = [];
    private readonly List<long> _order = [];
    private RouteTable _table = null!;
    private BatchRoutes _routes = null!;

    /// <summary>[experts of a layer] Pairs of each.</summary>
    private int[] _pairs = [];

    /// <summary>[experts of a layer] The part that the next pair of each belongs to.</summary>
    private int[] _next = [];

    /// <summary>[shards] Pairs that each has to do, with the reads of those of this round.</summary>
    private double[] _load = [];

    /// <summary>A round begins, by the routes' present table.</summary>
    public void Begin(BatchRoutes routes)
    {
        (_routes, _table) = (routes, routes.Table!);
        int experts = _table.Plan.Grid.Experts;
        if (_pairs.Length < experts)
            (_pairs, _next) = (new int[experts], new int[experts]);
        if (_load.Length < _table.Shards)
            _load = new double[_table.Shards];
        _pairs.AsSpan().Clear();
        _parts.Clear();
        _order.Clear();
    }

    /// <summary>Counts a pair of an expert (index in its layer).</summary>
    public void Count(int expert) => _pairs[expert]++;

    /// <summary>Chooses for all that was counted, of one layer.</summary>
    /// <param name="firstExpert">Index in the grid of the layer's first expert.</param>
    public void Share(int firstExpert)
    {
        double work = 0;
        for (int expert = 0; expert < _pairs.Length; expert++)
        {
            if (_pairs[expert] == 0)
                continue;
            _order.Add(((long)(int.MaxValue - _pairs[expert]) << 32) | (uint)expert);
            work += _pairs[expert] + ReadPairs;
        }

        double speed = 0;
        for (int shard = 0; shard < _table.Shards; shard++)
        {
            _load[shard] = _table.Channel(shard).PairsInFlight;
            work += _load[shard];
            speed += _table.Speed(shard);
        }

        CollectionsMarshal.AsSpan(_order).Sort();
        foreach (long key in _order)
            Share((int)(key & int.MaxValue), firstExpert, work / speed);
    }

    /// <summary>The shard of the next pair of an expert (index in its layer); -1 when there is none to ask.</summary>
    public int Take(int expert)
    {
        Span<Part> parts = CollectionsMarshal.AsSpan(_parts);
        if (parts[_next[expert]].Pairs == 0)
            _next[expert]++;
        ref Part part = ref parts[_next[expert]];
        part.Pairs--;
        return part.Shard;
    }

    /// <param name="expert">Index in its layer.</param>
    /// <param name="firstExpert">Index in the grid of the layer's first.</param>
    /// <param name="fair">When all shards would be done, were everything divisible.</param>
    private void Share(int expert, int firstExpert, double fair)
    {
        fair = Math.Max(fair, FairOf(firstExpert + expert, _pairs[expert]));
        int first = _next[expert] = _parts.Count;
        for (int left = _pairs[expert]; left > 0;)
        {
            int shard = Best(firstExpert + expert, left, first);
            if (shard < 0)
            {
                // All of it has no shard, or those that have a part take the rest, too.
                if (_parts.Count == first)
                    _parts.Add(new Part(-1, left));
                else
                    Give(_parts.Count - 1, left);
                return;
            }

            int room = Math.Max((int)((fair * _table.Speed(shard)) - _load[shard] - ReadPairs), LeastPart);
            int part = left - room < LeastPart ? left : room;
            _load[shard] += ReadPairs;
            _parts.Add(new Part(shard, 0));
            Give(_parts.Count - 1, part);
            left -= part;
        }
    }

    /// <summary>When the replicas of an expert would be done, were so many pairs of it shared out evenly and each read it.</summary>
    private double FairOf(int expert, int pairs)
    {
        (double work, double speed) = (pairs, 0);
        foreach (int shard in _table.Plan.ReplicasOf(expert))
        {
            if (_routes.Standing(shard, expert) != ShardStanding.Good)
                continue;
            work += _load[shard] + ReadPairs;
            speed += _table.Speed(shard);
        }

        return speed > 0 ? work / speed : 0;
    }

    private void Give(int index, int pairs)
    {
        ref Part part = ref CollectionsMarshal.AsSpan(_parts)[index];
        part.Pairs += pairs;
        _load[part.Shard] += pairs;
    }

    /// <summary>The replica that would be done first with so many pairs of an expert, of those with the best standing. -1 when none may be asked, or none of good standing has no part yet.</summary>
    private int Best(int expert, int pairs, int firstPart)
    {
        int best = -1;
        (ShardStanding Standing, double Done) bestCost = default;
        foreach (int shard in _table.Plan.ReplicasOf(expert))
        {
            ShardStanding standing = _routes.Standing(shard, expert);
            if (standing == ShardStanding.Barred || (_parts.Count > firstPart && (standing != ShardStanding.Good || HasPart(shard, firstPart))))
                continue;
            (ShardStanding, double) cost = (standing, (_load[shard] + ReadPairs + pairs) / _table.Speed(shard));
            if (best < 0 || cost.CompareTo(bestCost) < 0)
                (best, bestCost) = (shard, cost);
        }

        return best;
    }

    private bool HasPart(int shard, int firstPart)
    {
        for (int part = firstPart; part < _parts.Count; part++)
        {
            if (_parts[part].Shard == shard)
                return true;
        }

        return false;
    }

    private record struct Part(int Shard, int Pairs);
}
