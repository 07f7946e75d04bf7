using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>
/// The driver's functions that the binding uses, by the names that they have had since CUDA 12.0. A table of pointers and
/// not P/Invokes, so that a driver made for tests can stand in for the real one. Handles that a
/// <see cref="DriverHandle"/> frees are passed as plain numbers: they are one register wide either way.
/// </summary>
internal sealed unsafe partial class Driver
{
    public readonly delegate* unmanaged<int*, CUResult> DriverGetVersion;
    public readonly delegate* unmanaged<int*, CUResult> DeviceGetCount;
    public readonly delegate* unmanaged<CUdevice*, int, CUResult> DeviceGet;
    public readonly delegate* unmanaged<byte*, int, CUdevice, CUResult> DeviceGetName;
    public readonly delegate* unmanaged<SizeT*, CUdevice, CUResult> DeviceTotalMem;
    public readonly delegate* unmanaged<int*, CUDeviceAttribute, CUdevice, CUResult> DeviceGetAttribute;
    public readonly delegate* unmanaged<CUcontext*, CUdevice, CUResult> DevicePrimaryCtxRetain;
    public readonly delegate* unmanaged<CUdevice, CUResult> DevicePrimaryCtxRelease;
    public readonly delegate* unmanaged<CUcontext, CUResult> CtxSetCurrent;
    public readonly delegate* unmanaged<CUcontext*, CUResult> CtxGetCurrent;
    public readonly delegate* unmanaged<CUcontext, CUResult> CtxPushCurrent;
    public readonly delegate* unmanaged<CUcontext*, CUResult> CtxPopCurrent;
    public readonly delegate* unmanaged<CUResult> CtxSynchronize;
    public readonly delegate* unmanaged<int*, int*, CUResult> CtxGetStreamPriorityRange;
    public readonly delegate* unmanaged<CUmodule*, void*, uint, CUJITOption*, nint*, CUResult> ModuleLoadDataEx;
    public readonly delegate* unmanaged<nint, CUResult> ModuleUnload;
    public readonly delegate* unmanaged<CUfunction*, CUmodule, byte*, CUResult> ModuleGetFunction;
    public readonly delegate* unmanaged<int*, CUFunctionAttribute, CUfunction, CUResult> FuncGetAttribute;
    public readonly delegate* unmanaged<CUfunction, CUFunctionAttribute, int, CUResult> FuncSetAttribute;
    public readonly delegate* unmanaged<int*, CUfunction, int, SizeT, CUResult> OccupancyMaxActiveBlocksPerMultiprocessor;
    public readonly delegate* unmanaged<CUfunction, uint, uint, uint, uint, uint, uint, uint, CUstream, void**, void**, CUResult> LaunchKernel;
    public readonly delegate* unmanaged<SizeT*, SizeT*, CUResult> MemGetInfo;
    public readonly delegate* unmanaged<CUdeviceptr*, SizeT, CUResult> MemAlloc;
    public readonly delegate* unmanaged<nint, CUResult> MemFree;
    public readonly delegate* unmanaged<nint*, SizeT, CUMemHostAllocFlags, CUResult> MemHostAlloc;
    public readonly delegate* unmanaged<nint, CUResult> MemFreeHost;
    public readonly delegate* unmanaged<CUdeviceptr, void*, SizeT, CUResult> MemcpyHtoD;
    public readonly delegate* unmanaged<void*, CUdeviceptr, SizeT, CUResult> MemcpyDtoH;
    public readonly delegate* unmanaged<CUdeviceptr, CUdeviceptr, SizeT, CUResult> MemcpyDtoD;
    public readonly delegate* unmanaged<CUdeviceptr, void*, SizeT, CUstream, CUResult> MemcpyHtoDAsync;
    public readonly delegate* unmanaged<void*, CUdeviceptr, SizeT, CUstream, CUResult> MemcpyDtoHAsync;
    public readonly delegate* unmanaged<CUdeviceptr, CUdeviceptr, SizeT, CUstream, CUResult> MemcpyDtoDAsync;
    public readonly delegate* unmanaged<CUdeviceptr, byte, SizeT, CUResult> MemsetD8;
    public readonly delegate* unmanaged<CUdeviceptr, uint, SizeT, CUResult> MemsetD32;
    public readonly delegate* unmanaged<CUdeviceptr, byte, SizeT, CUstream, CUResult> MemsetD8Async;
    public readonly delegate* unmanaged<CUdeviceptr, uint, SizeT, CUstream, CUResult> MemsetD32Async;
    public readonly delegate* unmanaged<CUstream*, CUStreamFlags, int, CUResult> StreamCreateWithPriority;
    public readonly delegate* unmanaged<nint, CUResult> StreamDestroy;
    public readonly delegate* unmanaged<CUstream, CUResult> StreamSynchronize;
    public readonly delegate* unmanaged<CUstream, CUResult> StreamQuery;
    public readonly delegate* unmanaged<CUstream, CUevent, uint, CUResult> StreamWaitEvent;
    public readonly delegate* unmanaged<CUevent*, CUEventFlags, CUResult> EventCreate;
    public readonly delegate* unmanaged<nint, CUResult> EventDestroy;
    public readonly delegate* unmanaged<CUevent, CUstream, CUResult> EventRecord;
    public readonly delegate* unmanaged<CUevent, CUResult> EventSynchronize;
    public readonly delegate* unmanaged<CUevent, CUResult> EventQuery;
    public readonly delegate* unmanaged<float*, CUevent, CUevent, CUResult> EventElapsedTime;
    public readonly delegate* unmanaged<CUgraph*, uint, CUResult> GraphCreate;
    public readonly delegate* unmanaged<nint, CUResult> GraphDestroy;
    public readonly delegate* unmanaged<CUgraphNode*, CUgraph, CUgraphNode*, SizeT, CudaKernelNodeParams*, CUResult> GraphAddKernelNode;
    public readonly delegate* unmanaged<CUgraphExec*, CUgraph, CUgraphInstantiate_flags, CUResult> GraphInstantiateWithFlags;
    public readonly delegate* unmanaged<nint, CUResult> GraphExecDestroy;
    public readonly delegate* unmanaged<CUgraphExec, CUgraphNode, CudaKernelNodeParams*, CUResult> GraphExecKernelNodeSetParams;
    public readonly delegate* unmanaged<CUgraphExec, CUstream, CUResult> GraphUpload;
    public readonly delegate* unmanaged<CUgraphExec, CUstream, CUResult> GraphLaunch;

    private readonly delegate* unmanaged<uint, CUResult> _init;
    private readonly delegate* unmanaged<CUResult, byte**, CUResult> _getErrorName;
    private readonly delegate* unmanaged<CUResult, byte**, CUResult> _getErrorString;

    /// <param name="find">Gives a function's address by its exported name, or zero.</param>
    /// <exception cref="EntryPointNotFoundException">The driver lacks one.</exception>
    public Driver(Func<string, nint> find)
    {
        _init = (delegate* unmanaged<uint, CUResult>)Get("cuInit");
        _getErrorName = (delegate* unmanaged<CUResult, byte**, CUResult>)Get("cuGetErrorName");
        _getErrorString = (delegate* unmanaged<CUResult, byte**, CUResult>)Get("cuGetErrorString");
        DriverGetVersion = (delegate* unmanaged<int*, CUResult>)Get("cuDriverGetVersion");
        DeviceGetCount = (delegate* unmanaged<int*, CUResult>)Get("cuDeviceGetCount");
        DeviceGet = (delegate* unmanaged<CUdevice*, int, CUResult>)Get("cuDeviceGet");
        DeviceGetName = (delegate* unmanaged<byte*, int, CUdevice, CUResult>)Get("cuDeviceGetName");
        DeviceTotalMem = (delegate* unmanaged<SizeT*, CUdevice, CUResult>)Get("cuDeviceTotalMem_v2");
        DeviceGetAttribute = (delegate* unmanaged<int*, CUDeviceAttribute, CUdevice, CUResult>)Get("cuDeviceGetAttribute");
        DevicePrimaryCtxRetain = (delegate* unmanaged<CUcontext*, CUdevice, CUResult>)Get("cuDevicePrimaryCtxRetain");
        DevicePrimaryCtxRelease = (delegate* unmanaged<CUdevice, CUResult>)Get("cuDevicePrimaryCtxRelease_v2");
        CtxSetCurrent = (delegate* unmanaged<CUcontext, CUResult>)Get("cuCtxSetCurrent");
        CtxGetCurrent = (delegate* unmanaged<CUcontext*, CUResult>)Get("cuCtxGetCurrent");
        CtxPushCurrent = (delegate* unmanaged<CUcontext, CUResult>)Get("cuCtxPushCurrent_v2");
        CtxPopCurrent = (delegate* unmanaged<CUcontext*, CUResult>)Get("cuCtxPopCurrent_v2");
        CtxSynchronize = (delegate* unmanaged<CUResult>)Get("cuCtxSynchronize");
        CtxGetStreamPriorityRange = (delegate* unmanaged<int*, int*, CUResult>)Get("cuCtxGetStreamPriorityRange");
        ModuleLoadDataEx = (delegate* unmanaged<CUmodule*, void*, uint, CUJITOption*, nint*, CUResult>)Get("cuModuleLoadDataEx");
        ModuleUnload = (delegate* unmanaged<nint, CUResult>)Get("cuModuleUnload");
        ModuleGetFunction = (delegate* unmanaged<CUfunction*, CUmodule, byte*, CUResult>)Get("cuModuleGetFunction");
        FuncGetAttribute = (delegate* unmanaged<int*, CUFunctionAttribute, CUfunction, CUResult>)Get("cuFuncGetAttribute");
        FuncSetAttribute = (delegate* unmanaged<CUfunction, CUFunctionAttribute, int, CUResult>)Get("cuFuncSetAttribute");
        OccupancyMaxActiveBlocksPerMultiprocessor = (delegate* unmanaged<int*, CUfunction, int, SizeT, CUResult>)Get("cuOccupancyMaxActiveBlocksPerMultiprocessor");
        LaunchKernel = (delegate* unmanaged<CUfunction, uint, uint, uint, uint, uint, uint, uint, CUstream, void**, void**, CUResult>)Get("cuLaunchKernel");
        MemGetInfo = (delegate* unmanaged<SizeT*, SizeT*, CUResult>)Get("cuMemGetInfo_v2");
        MemAlloc = (delegate* unmanaged<CUdeviceptr*, SizeT, CUResult>)Get("cuMemAlloc_v2");
        MemFree = (delegate* unmanaged<nint, CUResult>)Get("cuMemFree_v2");
        MemHostAlloc = (delegate* unmanaged<nint*, SizeT, CUMemHostAllocFlags, CUResult>)Get("cuMemHostAlloc");
        MemFreeHost = (delegate* unmanaged<nint, CUResult>)Get("cuMemFreeHost");
        MemcpyHtoD = (delegate* unmanaged<CUdeviceptr, void*, SizeT, CUResult>)Get("cuMemcpyHtoD_v2");
        MemcpyDtoH = (delegate* unmanaged<void*, CUdeviceptr, SizeT, CUResult>)Get("cuMemcpyDtoH_v2");
        MemcpyDtoD = (delegate* unmanaged<CUdeviceptr, CUdeviceptr, SizeT, CUResult>)Get("cuMemcpyDtoD_v2");
        MemcpyHtoDAsync = (delegate* unmanaged<CUdeviceptr, void*, SizeT, CUstream, CUResult>)Get("cuMemcpyHtoDAsync_v2");
        MemcpyDtoHAsync = (delegate* unmanaged<void*, CUdeviceptr, SizeT, CUstream, CUResult>)Get("cuMemcpyDtoHAsync_v2");
        MemcpyDtoDAsync = (delegate* unmanaged<CUdeviceptr, CUdeviceptr, SizeT, CUstream, CUResult>)Get("cuMemcpyDtoDAsync_v2");
        MemsetD8 = (delegate* unmanaged<CUdeviceptr, byte, SizeT, CUResult>)Get("cuMemsetD8_v2");
        MemsetD32 = (delegate* unmanaged<CUdeviceptr, uint, SizeT, CUResult>)Get("cuMemsetD32_v2");
        MemsetD8Async = (delegate* unmanaged<CUdeviceptr, byte, SizeT, CUstream, CUResult>)Get("cuMemsetD8Async");
        MemsetD32Async = (delegate* unmanaged<CUdeviceptr, uint, SizeT, CUstream, CUResult>)Get("cuMemsetD32Async");
        StreamCreateWithPriority = (delegate* unmanaged<CUstream*, CUStreamFlags, int, CUResult>)Get("cuStreamCreateWithPriority");
        StreamDestroy = (delegate* unmanaged<nint, CUResult>)Get("cuStreamDestroy_v2");
        StreamSynchronize = (delegate* unmanaged<CUstream, CUResult>)Get("cuStreamSynchronize");
        StreamQuery = (delegate* unmanaged<CUstream, CUResult>)Get("cuStreamQuery");
        StreamWaitEvent = (delegate* unmanaged<CUstream, CUevent, uint, CUResult>)Get("cuStreamWaitEvent");
        EventCreate = (delegate* unmanaged<CUevent*, CUEventFlags, CUResult>)Get("cuEventCreate");
        EventDestroy = (delegate* unmanaged<nint, CUResult>)Get("cuEventDestroy_v2");
        EventRecord = (delegate* unmanaged<CUevent, CUstream, CUResult>)Get("cuEventRecord");
        EventSynchronize = (delegate* unmanaged<CUevent, CUResult>)Get("cuEventSynchronize");
        EventQuery = (delegate* unmanaged<CUevent, CUResult>)Get("cuEventQuery");
        EventElapsedTime = (delegate* unmanaged<float*, CUevent, CUevent, CUResult>)Get("cuEventElapsedTime");
        GraphCreate = (delegate* unmanaged<CUgraph*, uint, CUResult>)Get("cuGraphCreate");
        GraphDestroy = (delegate* unmanaged<nint, CUResult>)Get("cuGraphDestroy");
        GraphAddKernelNode = (delegate* unmanaged<CUgraphNode*, CUgraph, CUgraphNode*, SizeT, CudaKernelNodeParams*, CUResult>)Get("cuGraphAddKernelNode_v2");
        GraphInstantiateWithFlags = (delegate* unmanaged<CUgraphExec*, CUgraph, CUgraphInstantiate_flags, CUResult>)Get("cuGraphInstantiateWithFlags");
        GraphExecDestroy = (delegate* unmanaged<nint, CUResult>)Get("cuGraphExecDestroy");
        GraphExecKernelNodeSetParams = (delegate* unmanaged<CUgraphExec, CUgraphNode, CudaKernelNodeParams*, CUResult>)Get("cuGraphExecKernelNodeSetParams_v2");
        GraphUpload = (delegate* unmanaged<CUgraphExec, CUstream, CUResult>)Get("cuGraphUpload");
        GraphLaunch = (delegate* unmanaged<CUgraphExec, CUstream, CUResult>)Get("cuGraphLaunch");

        nint Get(string name) => find(name) is var address and not 0
            ? address
            : throw new EntryPointNotFoundException($"The CUDA driver has no {name}: a driver for CUDA 12.0 (525) or newer is needed.");
    }
}
