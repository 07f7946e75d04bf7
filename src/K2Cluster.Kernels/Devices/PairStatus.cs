namespace K2Cluster.Kernels.Devices;

/// <summary>What became of one (row, expert) pair on a device.</summary>
public enum PairStatus : byte
{
    Pending,
    Done,

    /// <summary>The device does not hold the expert.</summary>
    NotHeld,

    /// <summary>The device could not compute it.</summary>
    Failed,
}
