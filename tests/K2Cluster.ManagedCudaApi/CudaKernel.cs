using ManagedCuda.BasicTypes;
using ManagedCuda.VectorTypes;

namespace ManagedCuda;

public sealed class CudaKernel
{
    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda) => throw null!;

    public CudaKernel(string kernelName, CUmodule module) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, dim3 blockDim, dim3 gridDim) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, dim3 blockDim) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, uint blockDimX, uint blockDimY, uint blockDimZ, uint gridDimX, uint gridDimY) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, uint blockDimX, uint blockDimY, uint blockDimZ, uint gridDimX, uint gridDimY, uint gridDimZ) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, uint blockDimX, uint blockDimY, uint blockDimZ) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, uint sharedMemory) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, dim3 blockDim, dim3 gridDim, uint sharedMemory) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, dim3 blockDim, uint sharedMemory) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, uint blockDimX, uint blockDimY, uint blockDimZ, uint gridDimX, uint gridDimY, uint gridDimZ, uint sharedMemory) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, dim3 blockDim, dim3 gridDim) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, dim3 blockDim) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, uint blockDimX, uint blockDimY, uint blockDimZ, uint gridDimX, uint gridDimY) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, uint blockDimX, uint blockDimY, uint blockDimZ, uint gridDimX, uint gridDimY, uint gridDimZ) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, uint blockDimX, uint blockDimY, uint blockDimZ) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, uint sharedMemory) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, dim3 blockDim, dim3 gridDim, uint sharedMemory) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, dim3 blockDim, uint sharedMemory) => throw null!;

    public CudaKernel(string kernelName, CUmodule module, uint blockDimX, uint blockDimY, uint blockDimZ, uint gridDimX, uint gridDimY, uint gridDimZ, uint sharedMemory) => throw null!;

    public dim3 BlockDimensions
    {
        get => throw null!;
        set => throw null!;
    }

    public dim3 GridDimensions
    {
        get => throw null!;
        set => throw null!;
    }

    public uint DynamicSharedMemory
    {
        get => throw null!;
        set => throw null!;
    }

    public CUfunction CUFunction => throw null!;

    public CUmodule CUModule => throw null!;

    public string KernelName => throw null!;

    public int MaxThreadsPerBlock => throw null!;

    public int SharedMemory => throw null!;

    public int ConstMemory => throw null!;

    public int LocalMemory => throw null!;

    public int Registers => throw null!;

    public Version PtxVersion => throw null!;

    public Version BinaryVersion => throw null!;

    public bool CacheModeCA => throw null!;

    public int MaxDynamicSharedSizeBytes
    {
        get => throw null!;
        set => throw null!;
    }

    public bool ClusterSizeMustBeSet => throw null!;

    public int RequiredClusterWidth => throw null!;

    public int RequiredClusterHeight => throw null!;

    public int RequiredClusterDepth => throw null!;

    public bool NonPortableClusterSizeAllowed => throw null!;

    public void SetConstantVariable<T>(string name, T value)
        where T : struct => throw null!;

    public void SetConstantVariable<T>(string name, T[] value)
        where T : struct => throw null!;

    public void SetConstantVariable(string name, byte value) => throw null!;

    public void SetConstantVariable(string name, uint value) => throw null!;

    public void SetConstantVariable(string name, int value) => throw null!;

    public void SetConstantVariable(string name, ulong value) => throw null!;

    public void SetConstantVariable(string name, long value) => throw null!;

    public void SetConstantVariable(string name, float value) => throw null!;

    public void SetConstantVariable(string name, dim3 value) => throw null!;

    public void SetConstantVariable(string name, byte[] value) => throw null!;

    public void SetConstantVariable(string name, int[] value) => throw null!;

    public void SetConstantVariable(string name, float[] value) => throw null!;

    public float Run(params object[] parameters) => throw null!;

    public void RunAsync(CUstream stream, params object[] parameters) => throw null!;

    public void RunCooperative(CUstream stream, object[] parameters) => throw null!;

    public int GetOccupancyMaxActiveBlocksPerMultiprocessor(int blockSize, SizeT dynamicSMemSize) => throw null!;

    public int GetOccupancyMaxActiveBlocksPerMultiprocessor() => throw null!;

    public int GetOccupancyAvailableDynamicSMemPerBlock(int numBlocks, int blockSize) => throw null!;

    public void SetComputeSize(uint computeSizeX, uint computeSizeY, uint computeSizeZ) => throw null!;

    public void SetComputeSize(uint computeSizeX, uint computeSizeY) => throw null!;

    public void SetComputeSize(uint computeSizeX) => throw null!;

    public void SetComputeSize(dim3 computeSize) => throw null!;
}
