namespace ManagedCuda.BasicTypes;

/// <summary>What the driver tells of a kernel, or lets one set (CUfunction_attribute).</summary>
public enum CUFunctionAttribute
{
    MaxThreadsPerBlock = 0,
    SharedSizeBytes = 1,
    ConstSizeBytes = 2,
    LocalSizeBytes = 3,
    NumRegs = 4,
    PTXVersion = 5,
    BinaryVersion = 6,
    MaxDynamicSharedSizeBytes = 8,
}
