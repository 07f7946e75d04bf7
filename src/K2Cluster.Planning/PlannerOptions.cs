namespace K2Cluster.Planning;

/// <summary>What a planner weighs. The defaults are in use; tests and experiments choose others.</summary>
public sealed record PlannerOptions
{
    /// <summary>
    /// An expert that is held moves only where the layer's time gets shorter by this part. Loads are measured and waver; each
    /// move reads a whole expert.
    /// </summary>
    public double MinGain { get; init; } = 0.1;

    /// <summary>An expert gets one more replica while one of its replicas would have more than so many times the mean load of its layer.</summary>
    public double HotFactor { get; init; } = 2;

    /// <summary>A replica that is there stays until without it each of the others had less than this. Below <see cref="HotFactor"/>, so that a load near the edge does not load and drop by turns.</summary>
    public double StayHotFactor { get; init; } = 1.4;

    /// <summary>Replicas of an expert because of its load, at most.</summary>
    public int MaxReplicas { get; init; } = 4;

    /// <summary>The part of each device's memory that replicas leave free, so that experts can move.</summary>
    public double HeadRoom { get; init; } = 0.05;

    /// <summary>Experts on a device up to which it may have further replicas. One that has room for the whole model needs none to spare.</summary>
    internal int RoomForReplicas(PlanDevice device, PlanShape shape) => device.Capacity >= shape.Count ? shape.Count : (int)(device.Capacity * (1 - HeadRoom));

    /// <summary>
    /// A device so many times slower than the fastest gets only experts for which the faster ones have no room: one row on it
    /// takes longer than the whole layer elsewhere, so any expert there is what the layer waits for.
    /// </summary>
    public double SlowFactor { get; init; } = 8;

    /// <summary>
    /// An operator wants the layers to be as fast as they can be: experts that are held go to faster devices of another kind, whose
    /// bits differ, for speed alone, and nothing waits for what is missing. Otherwise only those change kinds that cannot stay:
    /// their device is gone, drained or too small.
    /// </summary>
    public bool IsRebalance { get; init; }
}
