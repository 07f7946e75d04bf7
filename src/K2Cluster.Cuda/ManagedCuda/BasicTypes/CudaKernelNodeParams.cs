using System.Runtime.InteropServices;

namespace ManagedCuda.BasicTypes;

/// <summary>A kernel's launch in a graph (CUDA_KERNEL_NODE_PARAMS, its second version, which has 72 bytes).</summary>
[StructLayout(LayoutKind.Sequential)]
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

    /// <summary>Addresses of the values of the kernel's parameters, or zero; the driver copies the values.</summary>
    public nint kernelParams;
    public nint extra;
    public CUkernel kern;
    public CUcontext ctx;
}
