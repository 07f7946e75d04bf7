using System.Runtime.CompilerServices;
using System.Text;
using ManagedCuda.BasicTypes;
using ManagedCuda.VectorTypes;

namespace ManagedCuda;

/// <summary>A kernel of a loaded module, with the extents that it is launched with.</summary>
public sealed unsafe class CudaKernel
{
    /// <summary>What a launch of a kernel may have by the hardware's rules (4,096 bytes until CUDA 12.1).</summary>
    private const int MostParameterBytes = 4096;

    private readonly Driver _driver = DriverLibrary.Load();

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda)
        : this(kernelName, module, cuda, new dim3(1), new dim3(1), 0)
    {
    }

    public CudaKernel(string kernelName, CUmodule module)
        : this(kernelName, module, new dim3(1), new dim3(1), 0)
    {
    }

    public CudaKernel(string kernelName, CUmodule module, CudaContext cuda, dim3 blockDim, dim3 gridDim, uint sharedMemory)
        : this(kernelName, module, blockDim, gridDim, sharedMemory)
    {
    }

    /// <exception cref="CudaException">The module has no such kernel.</exception>
    public CudaKernel(string kernelName, CUmodule module, dim3 blockDim, dim3 gridDim, uint sharedMemory)
    {
        ArgumentNullException.ThrowIfNull(kernelName);
        (KernelName, CUModule) = (kernelName, module);
        (BlockDimensions, GridDimensions, DynamicSharedMemory) = (blockDim, gridDim, sharedMemory);
        CUfunction function;
        fixed (byte* name = Encoding.UTF8.GetBytes(kernelName + '\0'))
            CudaException.ThrowOnError(_driver.ModuleGetFunction(&function, module, name), "cuModuleGetFunction", kernelName);
        CUFunction = function;
    }

    public string KernelName { get; }

    public CUmodule CUModule { get; }

    public CUfunction CUFunction { get; }

    public dim3 BlockDimensions { get; set; }

    public dim3 GridDimensions { get; set; }

    /// <summary>Bytes.</summary>
    public uint DynamicSharedMemory { get; set; }

    public int MaxThreadsPerBlock => Get(CUFunctionAttribute.MaxThreadsPerBlock);

    /// <summary>Bytes of static shared memory.</summary>
    public int SharedMemory => Get(CUFunctionAttribute.SharedSizeBytes);

    public int ConstMemory => Get(CUFunctionAttribute.ConstSizeBytes);

    /// <summary>Bytes of each thread that did not fit into registers.</summary>
    public int LocalMemory => Get(CUFunctionAttribute.LocalSizeBytes);

    public int Registers => Get(CUFunctionAttribute.NumRegs);

    public Version PtxVersion => VersionOf(CUFunctionAttribute.PTXVersion);

    public Version BinaryVersion => VersionOf(CUFunctionAttribute.BinaryVersion);

    /// <summary>How much dynamic shared memory it may be launched with; beyond 48 KiB it must be set.</summary>
    public int MaxDynamicSharedSizeBytes
    {
        get => Get(CUFunctionAttribute.MaxDynamicSharedSizeBytes);
        set => CudaException.ThrowOnError(
            _driver.FuncSetAttribute(CUFunction, CUFunctionAttribute.MaxDynamicSharedSizeBytes, value), "cuFuncSetAttribute", $"{KernelName}, {value} bytes of shared memory");
    }

    public int GetOccupancyMaxActiveBlocksPerMultiprocessor(int blockSize, SizeT dynamicSMemSize)
    {
        int blocks;
        CudaException.ThrowOnError(
            _driver.OccupancyMaxActiveBlocksPerMultiprocessor(&blocks, CUFunction, blockSize, dynamicSMemSize), "cuOccupancyMaxActiveBlocksPerMultiprocessor", KernelName);
        return blocks;
    }

    /// <summary>Launches it in the null stream, waits, and tells the milliseconds it took.</summary>
    /// <param name="parameters">Values of unmanaged types, of the sizes that the kernel declares.</param>
    public float Run(params object[] parameters)
    {
        using CudaEvent start = new();
        using CudaEvent end = new();
        start.Record();
        RunAsync(default, parameters);
        end.Record();
        end.Synchronize();
        return CudaEvent.ElapsedTime(start, end);
    }

    /// <summary>Launches it in a stream.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="parameters">Values of unmanaged types, of the sizes that the kernel declares.</param>
    public void RunAsync(CUstream stream, params object[] parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        byte* values = stackalloc byte[MostParameterBytes];
        void** addresses = stackalloc void*[Math.Max(1, parameters.Length)];
        int used = 0;
        for (int i = 0; i < parameters.Length; i++)
        {
            addresses[i] = values + used;
            used += Write(values + used, MostParameterBytes - used, parameters[i]);
        }

        CUResult result = _driver.LaunchKernel(
            CUFunction, GridDimensions.x, GridDimensions.y, GridDimensions.z, BlockDimensions.x, BlockDimensions.y, BlockDimensions.z, DynamicSharedMemory, stream, addresses, null);
        CudaException.ThrowOnError(result, "cuLaunchKernel", KernelName);
    }

    /// <summary>Writes a boxed value where the driver reads it; the next goes to a multiple of 8.</summary>
    private static int Write(byte* to, int room, object value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(room, sizeof(ulong));
        switch (value)
        {
            case CUdeviceptr v: Unsafe.Write(to, v); break;
            case SizeT v: Unsafe.Write(to, v); break;
            case nint v: Unsafe.Write(to, v); break;
            case ulong v: Unsafe.Write(to, v); break;
            case long v: Unsafe.Write(to, v); break;
            case double v: Unsafe.Write(to, v); break;
            case uint v: Unsafe.Write(to, v); break;
            case int v: Unsafe.Write(to, v); break;
            case float v: Unsafe.Write(to, v); break;
            case ushort v: Unsafe.Write(to, v); break;
            case short v: Unsafe.Write(to, v); break;
            case byte v: Unsafe.Write(to, v); break;
            default: throw new ArgumentException($"A kernel cannot be given a value of type {value?.GetType().Name ?? "null"}.");
        }

        return sizeof(ulong);
    }

    private Version VersionOf(CUFunctionAttribute attribute)
    {
        int version = Get(attribute);
        return new Version(version / 10, version % 10);
    }

    private int Get(CUFunctionAttribute attribute)
    {
        int value;
        CudaException.ThrowOnError(_driver.FuncGetAttribute(&value, attribute, CUFunction), "cuFuncGetAttribute", KernelName);
        return value;
    }
}
