namespace ManagedCuda.BasicTypes;

// The driver's handles as it knows them: a number each. One file, since there is nothing to read in them.

/// <summary>A device's number (CUdevice).</summary>
public struct CUdevice
{
    public int Pointer;
}

/// <summary>CUcontext.</summary>
public struct CUcontext
{
    public nint Pointer;
}

/// <summary>CUmodule.</summary>
public struct CUmodule
{
    public nint Pointer;
}

/// <summary>CUfunction.</summary>
public struct CUfunction
{
    public nint Pointer;
}

/// <summary>CUkernel.</summary>
public struct CUkernel
{
    public nint Pointer;
}

/// <summary>CUstream; zero is the null stream.</summary>
public struct CUstream
{
    public nint Pointer;
}

/// <summary>CUevent.</summary>
public struct CUevent
{
    public nint Pointer;
}

/// <summary>CUgraph.</summary>
public struct CUgraph
{
    public nint Pointer;
}

/// <summary>CUgraphNode.</summary>
public struct CUgraphNode
{
    public nint Pointer;
}

/// <summary>CUgraphExec.</summary>
public struct CUgraphExec
{
    public nint Pointer;
}
