using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>What a device is. Bytes, kHz, bits.</summary>
public class CudaDeviceProperties
{
    public string DeviceName { get; internal set; } = "";

    public Version DriverVersion { get; internal set; } = new();

    public Version ComputeCapability { get; internal set; } = new();

    public SizeT TotalGlobalMemory { get; internal set; }

    public CUComputeMode ComputeMode { get; internal set; }

    public int MaxThreadsPerBlock { get; internal set; }

    public int SharedMemoryPerBlock { get; internal set; }

    /// <summary>With <see cref="CudaKernel.MaxDynamicSharedSizeBytes"/> set.</summary>
    public int MaxSharedMemoryPerBlockOptin { get; internal set; }

    public int MaxSharedMemoryPerMultiprocessor { get; internal set; }

    public int ReservedSharedMemoryPerBlock { get; internal set; }

    public int MaxRegistersPerMultiprocessor { get; internal set; }

    public int MaxThreadsPerMultiProcessor { get; internal set; }

    public int MaxBlocksPerMultiProcessor { get; internal set; }

    public int WarpSize { get; internal set; }

    public int MultiProcessorCount { get; internal set; }

    public int ClockRate { get; internal set; }

    public int MemoryClockRate { get; internal set; }

    public int GlobalMemoryBusWidth { get; internal set; }

    public int L2CacheSize { get; internal set; }

    public int AsyncEngineCount { get; internal set; }

    public bool UnifiedAddressing { get; internal set; }

    public bool Integrated { get; internal set; }

    public bool EccEnabled { get; internal set; }

    public int PciBusId { get; internal set; }

    public int PciDeviceId { get; internal set; }

    public int PCIDomainID { get; internal set; }
}
