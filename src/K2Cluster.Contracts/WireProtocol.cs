namespace K2Cluster.Contracts;

/// <summary>What the processes of a cluster say to each other, as a whole: grain calls, their records, the frames of experts.</summary>
public static class WireProtocol
{
    /// <summary>
    /// Raised by a change that processes without it would not understand; an added member of a record is none. Processes of
    /// unlike versions do not join one cluster.
    /// </summary>
    public const int Version = 1;
}
