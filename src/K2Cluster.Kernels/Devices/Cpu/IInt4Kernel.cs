using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>
/// Products of a block of 16 rows of INT4 weights (<see cref="Int4Kernel.Pack"/>) with 1, 2, 4 or 8 rows of
/// <see cref="QuantizedRows"/>: output[16 i + lane] for activation row i. A row has the same bits from each of them.
/// </summary>
internal unsafe interface IInt4Kernel
{
    static abstract void Dot1<TLanes>(byte* block, int groups, int* x, float* output)
        where TLanes : struct, ILanes<TLanes>;

    static abstract void Dot2<TLanes>(byte* block, int groups, int** x, float* output)
        where TLanes : struct, ILanes<TLanes>;

    static abstract void Dot4<TLanes>(byte* block, int groups, int** x, float* output)
        where TLanes : struct, ILanes<TLanes>;

    /// <summary>For paths with 32 registers.</summary>
    static abstract void Dot8<TLanes>(byte* block, int groups, int** x, float* output)
        where TLanes : struct, ILanes<TLanes>;
}
