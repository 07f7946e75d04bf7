namespace K2Cluster.Contracts;

/// <summary>Whether a frame was taken at all.</summary>
public enum ReplyStatus : byte
{
    /// <summary>Each pair has its own status.</summary>
    Computed,

    /// <summary>The frame was made for another life of the shard: fetch the plan and send again.</summary>
    WrongIncarnation,

    /// <summary>The shard's queue is full: try a replica, or again later.</summary>
    Busy,

    /// <summary>The frame is malformed: wrong sizes, ids or layer.</summary>
    Malformed,
}
