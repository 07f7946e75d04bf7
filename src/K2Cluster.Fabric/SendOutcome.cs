namespace K2Cluster.Fabric;

/// <summary>What became of a message that was to be sent. Unless Taken, its payload is the caller's still.</summary>
public enum SendOutcome
{
    Taken,

    /// <summary>As much is under way as may be, and as much waits for room.</summary>
    Full,

    /// <summary>There is no connection.</summary>
    Closed,

    /// <summary>There is none since a moment ago: the peer may be dead, which the next attempt to connect, under way, will tell.</summary>
    Lost,
}
