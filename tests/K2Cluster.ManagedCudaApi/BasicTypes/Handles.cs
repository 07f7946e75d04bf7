namespace ManagedCuda.BasicTypes;

public struct CUdevice
{
    public int Pointer;
}

public struct CUcontext
{
    public nint Pointer;
}

public struct CUmodule
{
    public nint Pointer;
}

public struct CUfunction
{
    public nint Pointer;
}

public struct CUstream
{
    public nint Pointer;
}

public struct CUevent
{
    public nint Pointer;
}

public struct CUgraph
{
    public nint Pointer;
}

public struct CUgraphNode
{
    public nint Pointer;
}

public struct CUgraphExec
{
    public nint Pointer;
}

public struct CUdeviceptr
{
    public SizeT Pointer;

    public CUdeviceptr(SizeT pointer) => throw null!;

    public static implicit operator ulong(CUdeviceptr src) => throw null!;

    public static explicit operator CUdeviceptr(SizeT src) => throw null!;

    public static CUdeviceptr operator +(CUdeviceptr src, SizeT value) => throw null!;

    public static CUdeviceptr operator -(CUdeviceptr src, SizeT value) => throw null!;

    public static bool operator ==(CUdeviceptr src, CUdeviceptr value) => throw null!;

    public static bool operator !=(CUdeviceptr src, CUdeviceptr value) => throw null!;
}

public struct CudaKernelNodeParams
{
    public CUfunction func;
    public uint gridDimX;
    public uint gridDimY;
    public uint gridDimZ;
    public uint blockDimX;
    public uint blockDimY;
    public uint blockDimZ;
    public uint sharedMemBytes;
    public nint kernelParams;
    public nint extra;
}
