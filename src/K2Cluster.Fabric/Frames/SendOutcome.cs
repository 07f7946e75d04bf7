namespace K2Cluster.Fabric.Frames;

/// <summary>What became of a frame that was to be sent. Unless Taken, its payload is the caller's still.</summary>
internal enum SendOutcome
{
    Taken,
    Full,
    Closed,
}
