namespace ManagedCuda.BasicTypes;

// The driver's flags that we pass, one enumeration for each call. One file, since there is little to read in them.

/// <summary>How a thread waits for the device (CUctx_flags).</summary>
[Flags]
public enum CUCtxFlags : uint
{
    SchedAuto = 0,
    SchedSpin = 1,
    SchedYield = 2,
    BlockingSync = 4,
}

[Flags]
public enum CUStreamFlags : uint
{
    None = 0,

    /// <summary>Does not wait for the null stream.</summary>
    NonBlocking = 1,
}

[Flags]
public enum CUEventFlags : uint
{
    Default = 0,
    BlockingSync = 1,
    DisableTiming = 2,
}

[Flags]
public enum CUMemHostAllocFlags : uint
{
    None = 0,

    /// <summary>Pinned for all contexts.</summary>
    Portable = 1,
    DeviceMap = 2,
    WriteCombined = 4,
}

[Flags]
public enum CUgraphInstantiate_flags : ulong
{
    None = 0,
}

/// <summary>Options of the driver's compiler (CUjit_option); those that we pass.</summary>
public enum CUJITOption
{
    MaxRegisters = 0,
    InfoLogBuffer = 3,
    InfoLogBufferSizeBytes = 4,
    ErrorLogBuffer = 5,
    ErrorLogBufferSizeBytes = 6,
}
