namespace K2Cluster.Planning;

/// <summary>Why a device is to hold an expert.</summary>
public enum PlanReason : byte
{
    /// <summary>It had it before, and moving it gains too little.</summary>
    Stays,

    /// <summary>The operator wants it there.</summary>
    Pinned,

    /// <summary>No device had it; there the layer takes the least time, of the devices that had not got their part of what was missing.</summary>
    Placed,

    /// <summary>No faster device has room.</summary>
    NoRoomOnFaster,

    /// <summary>A faster device got room for it.</summary>
    Promoted,

    /// <summary>The device is new and gets its share.</summary>
    Joined,

    /// <summary>Moved because its layer takes so much less time.</summary>
    Balanced,

    /// <summary>The device is to be drained, but no other has room.</summary>
    NowhereElse,

    /// <summary>A replica that shares the load of a hot expert.</summary>
    Hot,

    /// <summary>A replica because so many are wanted, of it or of every expert.</summary>
    Wished,

    /// <summary>A replica that is there already, of an expert that is still warm or of unknown load.</summary>
    StaysReplica,
}
