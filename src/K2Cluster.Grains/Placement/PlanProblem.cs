using System.Collections.Immutable;
using System.Globalization;
using K2Cluster.Contracts;

namespace K2Cluster.Grains.Placement;

/// <summary>Says in words what a plan lacks: which experts, why, how many bytes, and what to do.</summary>
internal static class PlanProblem
{
    private const int Named = 3;

    /// <summary>Null when every expert has a replica.</summary>
    public static string? Describe(ExpertGrid grid, ShardReport[] shards, ImmutableArray<int> starts, int[] owners)
    {
        int[] missing = [.. Enumerable.Range(0, grid.Count).Where(expert => starts[expert] == starts[expert + 1])];
        if (missing.Length == 0)
            return null;
        if (shards.Length == 0)
            return "no shard is alive: start a silo";

        string which = string.Join(", ", missing.Take(Named).Select(grid.At).Select(key => $"layer {key.Layer} expert {key.Expert}"));
        List<string> parts = [$"{missing.Length} of {grid.Count} experts are on no shard ({which}{(missing.Length > Named ? ", …" : "")})"];

        int homeless = missing.Count(expert => owners[expert] < 0);
        if (missing.Length > homeless)
            parts.Add($"{missing.Length - homeless} are being loaded");
        if (homeless > 0)
        {
            long bytes = homeless * shards.Max(shard => shard.ExpertBytes);
            parts.Add($"{homeless} find no room on a working shard, {Bytes(bytes)} are missing: start another silo or raise --memory");
        }

        parts.AddRange(shards.Where(shard => shard.Problem is not null).Take(Named).Select(shard => $"shard {shard.Shard.Id}: {shard.Problem}"));
        return string.Join("; ", parts);
    }

    private static string Bytes(long bytes) =>
        bytes >= 1L << 30 ? $"{((double)bytes / (1L << 30)).ToString("0.0", CultureInfo.InvariantCulture)} GiB"
        : bytes >= 1L << 20 ? $"{((double)bytes / (1L << 20)).ToString("0.0", CultureInfo.InvariantCulture)} MiB"
        : $"{bytes} bytes";
}
