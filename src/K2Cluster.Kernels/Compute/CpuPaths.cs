using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace K2Cluster.Kernels.Compute;

/// <summary>Which paths this process can run, as the runtime says (so <c>DOTNET_EnableAVX512=0</c> is honoured).</summary>
public static class CpuPaths
{
    /// <summary>The fastest supported path.</summary>
    public static CpuPath Best => IsSupported(CpuPath.Avx512) ? CpuPath.Avx512
        : IsSupported(CpuPath.Avx2) ? CpuPath.Avx2
        : CpuPath.Portable;

    public static bool IsSupported(CpuPath path) => path switch
    {
        CpuPath.Portable => true,
        CpuPath.Avx2 => Avx2.IsSupported && Fma.IsSupported,
        CpuPath.Avx512 => Vector512.IsHardwareAccelerated && Avx512BW.IsSupported,
        _ => false,
    };
}
