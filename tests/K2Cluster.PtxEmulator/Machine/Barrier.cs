namespace K2Cluster.PtxEmulator.Machine;

/// <summary>One of a block's sixteen barriers.</summary>
internal sealed class Barrier
{
    /// <summary>Threads that must arrive, or 0 while nobody waits.</summary>
    public int Expected { get; set; }

    public int Arrived { get; set; }

    /// <summary>Warps that arrived, those that wait among them.</summary>
    public List<Warp> Participants { get; } = [];

    public void Reset()
    {
        Expected = 0;
        Arrived = 0;
        Participants.Clear();
    }
}
