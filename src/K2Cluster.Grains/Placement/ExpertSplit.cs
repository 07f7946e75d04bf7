namespace K2Cluster.Grains.Placement;

/// <summary>
/// Splits experts over shards: to each its share by memory, in every layer alike (so that a layer's work is spread), and each
/// expert where it is already as far as that allows; where memory is short, the latter alone. The same input gives the same split, and a split taken as input gives itself.
/// </summary>
internal static class ExpertSplit
{
    /// <summary>A shard to split over.</summary>
    /// <param name="Weight">Its share is proportional to this: the number of experts that fit its budget.</param>
    /// <param name="Limit">It gets no more experts than this.</param>
    /// <param name="Has">[experts]: whether it has the expert already, or was chosen for it before.</param>
    public readonly record struct Shard(long Weight, int Limit, bool[] Has);

    /// <summary>Chooses an owner for every expert; -1 where the shards' limits are reached.</summary>
    /// <param name="layers">Layers.</param>
    /// <param name="experts">Experts of a layer.</param>
    /// <param name="shards">In a stable order.</param>
    public static int[] Compute(int layers, int experts, IReadOnlyList<Shard> shards)
    {
        int[] owners = new int[layers * experts];
        owners.AsSpan().Fill(-1);
        int[] quotas = Quotas(owners.Length, shards);
        int[] given = new int[shards.Count];
        if (shards.Sum(shard => (long)shard.Limit) <= owners.Length && shards.Any(shard => shard.Has.Contains(true)))
        {
            // No room to spare: nothing held is taken from a shard, as what replaced it could not be loaded before it is dropped.
            Keep(0, owners, shards, given, quotas);
            Give(0, owners, shards, given, quotas, quotas);
            return owners;
        }

        for (int layer = 0; layer < layers; layer++)
        {
            Span<int> layerOwners = owners.AsSpan(layer * experts, experts);

            // What a shard may have by the end of this layer. Counting from the first layer carries fractions over.
            int[] limits = [.. quotas.Select(quota => (int)Math.Ceiling((double)quota * (layer + 1) / layers))];
            Keep(layer * experts, layerOwners, shards, given, limits);
            Give(layer * experts, layerOwners, shards, given, limits, quotas);
        }

        return owners;
    }

    /// <summary>Each shard's number of experts: proportional to its weight, never above its limit, together all that fit.</summary>
    internal static int[] Quotas(int count, IReadOnlyList<Shard> shards)
    {
        int[] quotas = new int[shards.Count];
        List<int> open = [.. Enumerable.Range(0, shards.Count).Where(i => shards[i].Weight > 0 && shards[i].Limit > 0)];
        long remaining = count;
        while (open.Count > 0)
        {
            double weight = open.Sum(i => (double)shards[i].Weight);
            int[] full = [.. open.Where(i => remaining * (shards[i].Weight / weight) >= shards[i].Limit)];
            if (full.Length == 0)
            {
                SpreadByLargestRemainder(remaining, weight, open, shards, quotas);
                break;
            }

            foreach (int i in full)
            {
                quotas[i] = (int)Math.Min(shards[i].Limit, remaining);
                remaining -= quotas[i];
                open.Remove(i);
            }
        }

        return quotas;
    }

    private static void SpreadByLargestRemainder(long count, double weight, List<int> open, IReadOnlyList<Shard> shards, int[] quotas)
    {
        long left = count;
        foreach (int i in open)
        {
            quotas[i] = (int)Math.Floor(count * (shards[i].Weight / weight));
            left -= quotas[i];
        }

        foreach (int i in open.OrderByDescending(i => (count * (shards[i].Weight / weight)) - quotas[i]).ThenBy(i => i))
        {
            if (left-- <= 0)
                break;
            quotas[i]++;
        }
    }

    /// <summary>Leaves experts with a shard that has them, while it may have more.</summary>
    private static void Keep(int first, Span<int> owners, IReadOnlyList<Shard> shards, int[] given, int[] limits)
    {
        for (int expert = 0; expert < owners.Length; expert++)
        {
            int best = -1;
            for (int shard = 0; shard < shards.Count; shard++)
            {
                bool may = given[shard] < limits[shard] && shards[shard].Has[first + expert];
                if (may && (best < 0 || limits[shard] - given[shard] > limits[best] - given[best]))
                    best = shard;
            }

            Assign(owners, expert, best, given);
        }
    }

    /// <summary>Gives the others to the shard that is furthest below what it may have; beyond that, to any below its quota.</summary>
    private static void Give(int first, Span<int> owners, IReadOnlyList<Shard> shards, int[] given, int[] limits, int[] quotas)
    {
        for (int expert = 0; expert < owners.Length; expert++)
        {
            if (owners[expert] >= 0)
                continue;
            int best = -1;
            (bool Within, bool Has, int Room) bestRank = default;
            for (int shard = 0; shard < shards.Count; shard++)
            {
                if (given[shard] >= quotas[shard])
                    continue;
                (bool, bool, int) rank = (given[shard] < limits[shard], shards[shard].Has[first + expert], limits[shard] - given[shard]);
                if (best < 0 || rank.CompareTo(bestRank) > 0)
                    (best, bestRank) = (shard, rank);
            }

            Assign(owners, expert, best, given);
        }
    }

    private static void Assign(Span<int> owners, int expert, int shard, int[] given)
    {
        if (shard < 0)
            return;
        owners[expert] = shard;
        given[shard]++;
    }
}
