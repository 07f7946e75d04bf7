namespace K2Cluster.PtxEmulator.Memory;

/// <summary>What a host call did wrong to device memory.</summary>
public enum DeviceMemoryError
{
    OutOfMemory,

    /// <summary>No allocation holds the range.</summary>
    OutOfBounds,
    UseAfterFree,
    DoubleFree,

    /// <summary>A write to bytes that the running kernel has read through the read-only path.</summary>
    ReadOnlyWhileRunning,
}

/// <summary>A host call that device memory refuses.</summary>
public sealed class DeviceMemoryException(DeviceMemoryError error, string message) : Exception(message)
{
    public DeviceMemoryError Error { get; } = error;
}
