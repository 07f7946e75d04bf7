using ManagedCuda.BasicTypes;
using ManagedCuda.VectorTypes;

namespace ManagedCuda;

public class CudaDeviceProperties
{
    public CudaDeviceProperties() => throw null!;

    public int ClockRate => throw null!;

    public dim3 MaxBlockDim => throw null!;

    public dim3 MaxGridDim => throw null!;

    public int MaxThreadsPerBlock => throw null!;

    public int RegistersPerBlock => throw null!;

    public int SharedMemoryPerBlock => throw null!;

    public int TotalConstantMemory => throw null!;

    public string DeviceName => throw null!;

    public Version DriverVersion => throw null!;

    public SizeT TotalGlobalMemory => throw null!;

    public int MultiProcessorCount => throw null!;

    public int WarpSize => throw null!;

    public bool GpuOverlap => throw null!;

    public bool KernelExecTimeoutEnabled => throw null!;

    public bool Integrated => throw null!;

    public bool CanMapHostMemory => throw null!;

    public CUComputeMode ComputeMode => throw null!;

    public bool ConcurrentKernels => throw null!;

    public bool EccEnabled => throw null!;

    public int PciBusId => throw null!;

    public int PciDeviceId => throw null!;

    public bool TccDrivelModel => throw null!;

    public int MemoryClockRate => throw null!;

    public int GlobalMemoryBusWidth => throw null!;

    public int L2CacheSize => throw null!;

    public int MaxThreadsPerMultiProcessor => throw null!;

    public int AsyncEngineCount => throw null!;

    public bool UnifiedAddressing => throw null!;

    public int PCIDomainID => throw null!;

    public Version ComputeCapability => throw null!;

    public bool SupportsStreamPriorities => throw null!;

    public bool GlobalL1CacheSupported => throw null!;

    public bool LocalL1CacheSupported => throw null!;

    public int MaxSharedMemoryPerMultiprocessor => throw null!;

    public int MaxRegistersPerMultiprocessor => throw null!;

    public bool ManagedMemory => throw null!;

    public bool MultiGPUBoard => throw null!;

    public int MultiGPUBoardGroupID => throw null!;

    public bool HostNativeAtomicSupported => throw null!;

    public bool PageableMemoryAccess => throw null!;

    public bool ConcurrentManagedAccess => throw null!;

    public bool ComputePreemptionSupported => throw null!;

    public bool CanUseHostPointerForRegisteredMem => throw null!;

    public bool CanUseStreamMemOps => throw null!;

    public bool CanUse64BitStreamMemOps => throw null!;

    public bool CanUseStreamWaitValueNOr => throw null!;

    public bool CooperativeLaunch => throw null!;

    public bool CooperativeMultiDeviceLaunch => throw null!;

    public int MaxSharedMemoryPerBlockOptin => throw null!;

    public bool CanFlushRemoteWrites => throw null!;

    public bool HostRegisterSupported => throw null!;

    public bool PageableMemoryAccessUsesHostPageTables => throw null!;

    public bool DirectManagedMemoryAccessFromHost => throw null!;

    public bool VirtualMemoryManagementSupported => throw null!;

    public bool HandleTypePosixFileDescriptorSupported => throw null!;

    public bool HandleTypeWin32HandleSupported => throw null!;

    public bool HandleTypeWin32KMTHandleSupported => throw null!;

    public int MaxBlocksPerMultiProcessor => throw null!;

    public bool GenericCompressionSupported => throw null!;

    public int MaxPersistingL2CacheSize => throw null!;

    public int MaxAccessPolicyWindowSize => throw null!;

    public bool GPUDirectRDMAWithCudaVMMSupported => throw null!;

    public int ReservedSharedMemoryPerBlock => throw null!;

    public bool ReadOnlyHostRegisterSupported => throw null!;

    public bool GpuDirectRDMASupported => throw null!;

    public bool ClusterLaunch => throw null!;

    public bool DmaBufSupported => throw null!;

    public int MemSyncDomainCount => throw null!;

    public bool TensorMapAccessSupported => throw null!;

    public bool HandleTypeFabricSupported => throw null!;

    public bool UnifiedFunctionPointers => throw null!;

    public bool MultiCastSupported => throw null!;

    public bool MPSEnabled => throw null!;

    public int NumaID => throw null!;

    public int HostNumaID => throw null!;

    public int MemDecompressMaximumLength => throw null!;

    public int GpuPciDeviceID => throw null!;

    public int GpuPciSubsystemID => throw null!;
}
