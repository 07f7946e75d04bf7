namespace K2Cluster.Kernels.Experts;

/// <summary>What became of one row of an <see cref="ExpertBatch"/>.</summary>
public enum RowStatus : byte
{
    /// <summary>Not answered yet. No row has this status once its ticket was collected.</summary>
    Pending,

    /// <summary>All its experts answered.</summary>
    Done,

    /// <summary>An expert of the row is held by nobody alive just now: the row leaves the step and is replayed later.</summary>
    Unavailable,

    /// <summary>An expert answered with an error that a replay would meet again.</summary>
    Failed,
}
