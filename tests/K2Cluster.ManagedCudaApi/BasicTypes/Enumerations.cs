namespace ManagedCuda.BasicTypes;

// Of their members, those that a program like ours names.

public enum CUResult
{
    Success,
}

public enum CUComputeMode
{
    Default,
}

[Flags]
public enum CUCtxFlags : uint
{
    SchedAuto,
}

[Flags]
public enum CUStreamFlags : uint
{
    None,
    NonBlocking,
}

[Flags]
public enum CUEventFlags
{
    Default,
    BlockingSync,
    DisableTiming,
}

[Flags]
public enum CUMemHostAllocFlags
{
    None,
}

[Flags]
public enum CUgraphInstantiate_flags : ulong
{
    None,
}

public enum CUJITOption
{
    ErrorLogBuffer,
    ErrorLogBufferSizeBytes,
}
