namespace K2Cluster.Cuda.Device;

/// <summary>The tensors of an expert in a checkpoint, in the order in which they are staged. BF16 experts have no scales.</summary>
internal enum ExpertPart
{
    Gate,
    GateScales,
    Up,
    UpScales,
    Down,
    DownScales,
}
