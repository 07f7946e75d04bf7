namespace K2Cluster.Fabric;

/// <summary>A connection of its own to the same peer, so that the small does not wait behind the large.</summary>
public enum FabricLane : byte
{
    /// <summary>Small messages that somebody waits for.</summary>
    Decode,

    /// <summary>Large ones.</summary>
    Bulk,
}
