namespace ManagedCuda.BasicTypes;

/// <summary>Who may use a device.</summary>
public enum CUComputeMode
{
    Default = 0,

    /// <summary>Nobody.</summary>
    Prohibited = 2,

    /// <summary>One process at a time.</summary>
    ExclusiveProcess = 3,
}
