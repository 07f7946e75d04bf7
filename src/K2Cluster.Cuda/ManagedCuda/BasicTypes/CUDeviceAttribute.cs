namespace ManagedCuda.BasicTypes;

/// <summary>What the driver tells of a device (CUdevice_attribute); those that <see cref="CudaDeviceProperties"/> has.</summary>
public enum CUDeviceAttribute
{
    MaxThreadsPerBlock = 1,
    MaxSharedMemoryPerBlock = 8,
    WarpSize = 10,
    ClockRate = 13,
    MultiProcessorCount = 16,
    Integrated = 18,
    ComputeMode = 20,
    ECCEnabled = 32,
    PCIBusID = 33,
    PCIDeviceID = 34,
    MemoryClockRate = 36,
    GlobalMemoryBusWidth = 37,
    L2CacheSize = 38,
    MaxThreadsPerMultiProcessor = 39,
    AsyncEngineCount = 40,
    UnifiedAddressing = 41,
    PCIDomainID = 50,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    MaxSharedMemoryPerMultiprocessor = 81,
    MaxRegistersPerMultiprocessor = 82,
    MaxSharedMemoryPerBlockOptin = 97,
    MaxBlocksPerMultiProcessor = 106,
    ReservedSharedMemoryPerBlock = 111,
}
