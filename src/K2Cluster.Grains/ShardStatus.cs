using K2Cluster.Contracts;
using K2Cluster.Grains.Shards;

namespace K2Cluster.Grains;

/// <summary>Whether the shards of this process do their work, for its readiness.</summary>
public sealed class ShardStatus
{
    private readonly ShardSet _shards;
    private readonly SiloReporter _reporter;

    internal ShardStatus(ShardSet shards, SiloReporter reporter) => (_shards, _reporter) = (shards, reporter);

    /// <summary>
    /// Null when the placement grain knows the shards and they hold all experts that are theirs; otherwise why not, as one line.
    /// Further replicas of other shards' experts are served without them.
    /// </summary>
    public string? NotReadyReason
    {
        get
        {
            (int missing, ShardReport[] reports) = Working();
            if (reports.FirstOrDefault(report => report.Problem is not null) is { Problem: { } problem })
                return problem;
            if (_reporter.Problem is { } unreported)
                return $"the cluster does not know this silo's shards yet ({unreported})";
            if (Array.Exists(reports, report => report.Assigned == Epoch.None))
                return "waiting to be told which experts to hold";
            return missing > 0 ? $"loading experts, {Held(reports)} of {Held(reports) + missing}" : null;
        }
    }

    /// <summary>What is held, as one line: "80 experts on 1 shard".</summary>
    public string Summary
    {
        get
        {
            ShardReport[] reports = [.. _shards.All.Select(shard => shard.Report)];
            return $"{Held(reports)} experts on {reports.Length} shard{(reports.Length == 1 ? "" : "s")}";
        }
    }

    /// <summary>The reports of the shards whose device works; of all when none does. A lost one has room for nothing, and the others do its work.</summary>
    private (int Missing, ShardReport[] Reports) Working()
    {
        // The report first: what is missing is then what that assignment asks for.
        (ShardReport Report, int Missing)[] all = [.. _shards.All.Select(shard => (shard.Report, shard.MissingOwned))];
        (ShardReport Report, int Missing)[] working = [.. all.Where(shard => shard.Report.WeightsBudget > 0 || shard.Report.Problem is null)];
        (ShardReport Report, int Missing)[] counted = working.Length > 0 ? working : all;
        return (counted.Sum(shard => shard.Missing), [.. counted.Select(shard => shard.Report)]);
    }

    private static int Held(ShardReport[] reports) => reports.Sum(report => report.Held.Length);
}
