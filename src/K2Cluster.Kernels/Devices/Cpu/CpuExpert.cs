using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>
/// The weights of one expert in the device's layout, and its products with one block of 16 outputs. Its uses (the device's
/// table, and each forward) are counted under the device's lock; the last one frees it.
/// </summary>
internal abstract unsafe class CpuExpert : IDisposable
{
    /// <summary>Uses of this expert; guarded by the device's lock.</summary>
    public int Uses { get; set; } = 1;

    /// <summary>
    /// One block of 16 intermediate values for the pairs at <paramref name="first"/>.. of the work's order: gate, up, SwiGLU,
    /// into the work's intermediate rows.
    /// </summary>
    public abstract void Intermediate<TLanes>(CpuExpertWork work, int first, int count, int block)
        where TLanes : struct, ILanes<TLanes>;

    /// <summary>One block of 16 outputs for the same pairs, rounded to BF16.</summary>
    public abstract void Output<TLanes>(CpuExpertWork work, int first, int count, int block)
        where TLanes : struct, ILanes<TLanes>;

    public abstract void Dispose();

    /// <summary>Bytes of native memory that an expert of these sizes takes.</summary>
    public static long Bytes(bool int4, int hiddenSize, int intermediateSize) => int4
        ? Int4Expert.Bytes(hiddenSize, intermediateSize)
        : Bf16Expert.Bytes(hiddenSize, intermediateSize);

    /// <summary>Reads an expert in bounded pieces, repacking each.</summary>
    public static CpuExpert Read(bool int4, int hiddenSize, int intermediateSize, TensorCatalog catalog, ITensorSource source, ExpertKey key) => int4
        ? Int4Expert.Read(hiddenSize, intermediateSize, catalog, source, key)
        : Bf16Expert.Read(hiddenSize, intermediateSize, catalog, source, key);
}
