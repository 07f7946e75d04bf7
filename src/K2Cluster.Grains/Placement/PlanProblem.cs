using System.Collections.Immutable;
using System.Globalization;
using K2Cluster.Contracts;
using K2Cluster.Planning;

namespace K2Cluster.Grains.Placement;

/// <summary>Says in words what a plan lacks: which experts, why, how many bytes, and what to do.</summary>
/// <param name="Text">For operators.</param>
/// <param name="Public">For clients, who may be strangers: names no host, no shard, no file.</param>
internal sealed record PlanProblem(string Text, string Public)
{
    private const int Named = 3;

    /// <summary>Null when every expert has a replica.</summary>
    public static PlanProblem? Find(ExpertGrid grid, ShardReport[] shards, ImmutableArray<int> starts, ExpertPlan plan)
    {
        int[] missing = [.. Enumerable.Range(0, grid.Count).Where(expert => starts[expert] == starts[expert + 1])];
        if (missing.Length == 0)
            return null;
        if (shards.Length == 0)
            return new PlanProblem("no shard is alive: start a silo", "no shard is alive: the operator must start a silo");

        string which = string.Join(", ", missing.Take(Named).Select(grid.At).Select(key => $"layer {key.Layer} expert {key.Expert}"));
        string count = $"{missing.Length} of {grid.Count} experts are on no shard";
        List<string> parts = [$"{count} ({which}{(missing.Length > Named ? ", …" : "")})"];
        List<string> open = [count];

        int homeless = missing.Count(expert => plan.OwnerOf(expert) < 0);
        if (missing.Length > homeless)
        {
            parts.Add($"{missing.Length - homeless} are being loaded");
            open.Add($"{missing.Length - homeless} are being loaded by silos");
        }

        if (homeless > 0)
        {
            long bytes = homeless * shards.Max(shard => shard.ExpertBytes);
            parts.Add($"{homeless} find no room on a working shard, {Bytes(bytes)} are missing: start another silo or raise --memory");
            open.Add($"{Bytes(bytes)} of memory are missing for {homeless}: the operator must start another silo or raise --memory");
        }

        ShardReport[] broken = [.. shards.Where(shard => shard.Problem is not null)];
        parts.AddRange(broken.Take(Named).Select(shard => $"shard {shard.Shard.Id}: {shard.Problem}"));
        if (broken.Length > 0)
            open.Add($"{broken.Length} of {shards.Length} shards report a problem, which k2 cluster status tells the operator");
        return new PlanProblem(string.Join("; ", parts), string.Join("; ", open));
    }

    internal static string Bytes(long bytes) =>
        bytes >= 1L << 30 ? $"{((double)bytes / (1L << 30)).ToString("0.0", CultureInfo.InvariantCulture)} GiB"
        : bytes >= 1L << 20 ? $"{((double)bytes / (1L << 20)).ToString("0.0", CultureInfo.InvariantCulture)} MiB"
        : bytes >= 1L << 10 ? $"{((double)bytes / (1L << 10)).ToString("0.0", CultureInfo.InvariantCulture)} KiB"
        : $"{bytes} bytes";
}
