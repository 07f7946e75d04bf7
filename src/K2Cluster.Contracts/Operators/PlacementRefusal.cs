namespace K2Cluster.Contracts.Operators;

/// <summary>Why an operator was refused.</summary>
public enum PlacementRefusal : byte
{
    /// <summary>The request contradicts itself or a limit.</summary>
    Invalid,

    /// <summary>There is no such expert, shard or silo.</summary>
    NotFound,

    /// <summary>As things stand it cannot be.</summary>
    NotPossible,

    /// <summary>Not yet; asking again may help.</summary>
    NotReady,
}
