namespace K2Cluster.Contracts.Operators;

/// <summary>What an operator may ask of a placement. Only ever add.</summary>
public enum PlacementChangeKind : byte
{
    /// <summary>One expert on further shards, which are named.</summary>
    Replicate,

    /// <summary>So many replicas of one expert, wherever there is room.</summary>
    Copies,

    /// <summary>So many replicas of every expert, as far as memory goes.</summary>
    Replicas,

    /// <summary>One replica of an expert on another shard instead.</summary>
    Move,

    /// <summary>One replica of an expert fewer.</summary>
    Drop,

    /// <summary>One expert is planned as others are again.</summary>
    Unpin,

    /// <summary>All are.</summary>
    UnpinAll,

    /// <summary>A silo is to hold nothing.</summary>
    Drain,

    /// <summary>It may again.</summary>
    Undrain,

    /// <summary>Plan anew now, and move whatever makes a layer faster.</summary>
    Rebalance,
}
