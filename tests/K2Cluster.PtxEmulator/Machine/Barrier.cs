namespace K2Cluster.PtxEmulator.Machine;

/// <summary>One of a block's sixteen barriers.</summary>
internal sealed class Barrier
{
    /// <summary>Threads that must arrive, or 0 while nobody waits.</summary>
    public int Expected { get; set; }

    public int Arrived { get; set; }

    /// <summary>Warps that arrived.</summary>
    public List<Warp> Participants { get; } = [];

    /// <summary>Those of them that wait.</summary>
    public List<Warp> Waiting { get; } = [];

    /// <summary>What those that did not wait had seen and done when they arrived, by warp: the latest event of each.</summary>
    public ulong[] Passed { get; } = new ulong[Warp.MaxPerBlock];

    public void Reset()
    {
        Expected = 0;
        Arrived = 0;
        Participants.Clear();
        Waiting.Clear();
        Array.Clear(Passed);
    }
}
