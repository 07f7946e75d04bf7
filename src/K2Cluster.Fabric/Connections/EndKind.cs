namespace K2Cluster.Fabric.Connections;

/// <summary>How a connection ended.</summary>
internal enum EndKind
{
    /// <summary>This end ended it: it was told to, or the peer broke a rule or was silent for too long, or the network or this host failed.</summary>
    Ours,

    /// <summary>The peer said goodbye, or why it ends the connection.</summary>
    Told,

    /// <summary>The stream ended or was reset without a word: the peer may be dead.</summary>
    Lost,
}
