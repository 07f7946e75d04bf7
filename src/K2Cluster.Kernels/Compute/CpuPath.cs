namespace K2Cluster.Kernels.Compute;

/// <summary>The instruction set that CPU kernels run on. Every path gives the same bits (docs/adr/0005-numerics.md).</summary>
public enum CpuPath
{
    /// <summary>Plain C#, any processor; the reference of the others.</summary>
    Portable,

    /// <summary>AVX2 with FMA.</summary>
    Avx2,

    /// <summary>AVX-512 F, BW.</summary>
    Avx512,
}
