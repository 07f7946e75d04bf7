using K2Cluster.Cuda.Device;
using K2Cluster.GpuCheck.Reports;
using ManagedCuda;

namespace K2Cluster.GpuCheck.Measures;

/// <summary>How fast the card copies its own memory: what everything else is measured against.</summary>
internal static class CopyMeasure
{
    public static IReadOnlyList<CopyResult> Run(Gpu gpu, KernelSet kernels, CheckPlan plan)
    {
        long bytes = Math.Min(Math.Max(plan.CopyBytes, plan.L2Times * gpu.L2Bytes), gpu.FreeBytes / 2) / 16 * 16;
        using CudaDeviceVariable<byte> from = new(bytes);
        using CudaDeviceVariable<byte> to = new(bytes);
        from.Memset(0x5A);
        CudaKernel kernel = kernels.Get("k2_copy", new LaunchPlan(0, 256, 0, 0), 8 * gpu.Multiprocessors);
        return
        [
            Result("k2_copy", StreamTimer.Measure(gpu.Stream, plan.Rounds, 1, _ => kernel.RunAsync(gpu.Stream.Stream, from.DevicePointer, to.DevicePointer, (ulong)bytes))),
            Result("cuMemcpyDtoD", StreamTimer.Measure(gpu.Stream, plan.Rounds, 1, _ => to.AsyncCopyToDevice(from.DevicePointer, 0, 0, bytes, gpu.Stream.Stream))),
        ];

        CopyResult Result(string way, Times times) => new(way, bytes, times, 2 * bytes / times.Median / 1000);
    }
}
