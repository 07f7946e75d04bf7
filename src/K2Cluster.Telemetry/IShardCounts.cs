using System.Diagnostics.Metrics;

namespace K2Cluster.Telemetry;

/// <summary>What a shard counts for itself and gives when metrics are collected.</summary>
public interface IShardCounts
{
    /// <summary>Rows computed since the start, for each expert that computed any; tags: k2.shard, k2.layer, k2.expert.</summary>
    IEnumerable<Measurement<long>> ExpertTokens();

    /// <summary>Experts held now; tag: k2.shard.</summary>
    Measurement<int> ExpertsHeld();
}
