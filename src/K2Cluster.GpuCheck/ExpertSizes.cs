namespace K2Cluster.GpuCheck;

/// <summary>The sizes of an expert and of its slot, computed from kernels/README.md alone: what the device computes is not to be its own witness.</summary>
/// <param name="Hidden">H, a multiple of 32.</param>
/// <param name="Intermediate">I, a multiple of 32.</param>
/// <param name="IsInt4">Or BF16.</param>
internal sealed record ExpertSizes(int Hidden, int Intermediate, bool IsInt4)
{
    private const int BlockInputs = 128;
    private const int Alignment = 256;

    /// <summary>As the kernels' names have it.</summary>
    public string Format => IsInt4 ? "int4" : "bf16";

    public int BlockBytes => IsInt4 ? 1152 : 4096;

    public long GateUpBytes => (long)(Intermediate / 8) * Blocks(Hidden) * BlockBytes;

    public long DownBytes => (long)(Hidden / 16) * Blocks(Intermediate) * BlockBytes;

    public long SlotBytes => (GateUpBytes + DownBytes + Alignment - 1) / Alignment * Alignment;

    /// <summary>Bytes of an expert's weights and scales in a checkpoint.</summary>
    public long CheckpointBytes => 3L * Hidden * Intermediate * (IsInt4 ? 9 : 32) / 16;

    public static int Blocks(int inputs) => (inputs + BlockInputs - 1) / BlockInputs;

    public override string ToString() => $"{Format} {Hidden} × {Intermediate}";
}
