namespace K2Cluster.Cluster.Dispatch;

/// <summary>How gladly a shard is asked for an expert by a batch, best first.</summary>
internal enum ShardStanding
{
    Good,

    /// <summary>It was late lately.</summary>
    Avoided,

    /// <summary>It failed this batch, or is silent.</summary>
    Failed,

    /// <summary>It is not asked.</summary>
    Barred,
}
