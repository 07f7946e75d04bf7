using ManagedCuda.BasicTypes;
using ManagedCuda.VectorTypes;

namespace ManagedCuda;

public class CudaContext : IDisposable
{
    public CudaContext() => throw null!;

    public CudaContext(bool createNew) => throw null!;

    public CudaContext(int deviceId) => throw null!;

    public CudaContext(int deviceId, bool createNew) => throw null!;

    public CudaContext(int deviceId, CUCtxFlags flags) => throw null!;

    public CudaContext(CudaStream stream) => throw null!;

    public CudaContext(int deviceId, CUCtxFlags flags, bool createNew) => throw null!;

    public CUcontext Context => throw null!;

    public CUdevice Device => throw null!;

    public int DeviceId => throw null!;

    public bool IsContextOwner => throw null!;

    public ulong ID => throw null!;

    public void Dispose() => throw null!;

    public Version GetAPIVersionOfCurrentContext() => throw null!;

    public void Synchronize() => throw null!;

    public void PushContext() => throw null!;

    public void PopContext() => throw null!;

    public void SetCurrent() => throw null!;

    public CUmodule LoadModule(string modulePath) => throw null!;

    public CUmodule LoadModulePTX(string modulePath, CUJITOption[] options, object[] values) => throw null!;

    public CUmodule LoadModulePTX(string modulePath) => throw null!;

    public CUmodule LoadModulePTX(byte[] moduleImage, CUJITOption[] options, object[] values) => throw null!;

    public CUmodule LoadModulePTX(byte[] moduleImage) => throw null!;

    public CudaKernel LoadKernel(string modulePath, string kernelName) => throw null!;

    public CudaKernel LoadKernelPTX(string modulePath, string kernelName, CUJITOption[] options, object[] values) => throw null!;

    public CudaKernel LoadKernelPTX(string modulePath, string kernelName) => throw null!;

    public CudaKernel LoadKernelPTX(byte[] moduleImage, string kernelName, CUJITOption[] options, object[] values) => throw null!;

    public CudaKernel LoadKernelPTX(byte[] moduleImage, string kernelName) => throw null!;

    public CUmodule LoadModuleFatBin(byte[] moduleImage) => throw null!;

    public CudaKernel LoadKernelFatBin(byte[] moduleImage, string kernelName) => throw null!;

    public void UnloadModule(CUmodule aModule) => throw null!;

    public void UnloadKernel(CudaKernel aKernel) => throw null!;

    public CUdeviceptr AllocateMemory(SizeT aSizeInBytes) => throw null!;

    public void ClearMemory(CUdeviceptr aPtr, byte aValue, SizeT aSizeInBytes) => throw null!;

    public void ClearMemory(CUdeviceptr aPtr, uint aValue, SizeT aSizeInBytes) => throw null!;

    public void ClearMemoryAsync(CUdeviceptr aPtr, byte aValue, SizeT aSizeInBytes, CUstream stream) => throw null!;

    public void ClearMemoryAsync(CUdeviceptr aPtr, uint aValue, SizeT aSizeInBytes, CUstream stream) => throw null!;

    public void FreeMemory(CUdeviceptr dBuffer) => throw null!;

    public void FreeMemoryAsync(CUdeviceptr dBuffer, CUstream stream) => throw null!;

    public SizeT GetTotalDeviceMemorySize() => throw null!;

    public SizeT GetFreeDeviceMemorySize() => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, nint aSource, SizeT aSizeInBytes) => throw null!;

    public void CopyToDevice<T>(CUdeviceptr aDest, T[] aSource)
        where T : struct => throw null!;

    public void CopyToDevice<T>(CUdeviceptr aDest, T aSource)
        where T : struct => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, byte[] aSource) => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, float[] aSource) => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, int[] aSource) => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, byte aSource) => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, float aSource) => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, int aSource) => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, long aSource) => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, uint aSource) => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, ulong aSource) => throw null!;

    public void CopyToDevice(CUdeviceptr aDest, dim3 aSource) => throw null!;

    public void CopyToHost<T>(T[] aDest, CUdeviceptr aSource)
        where T : struct => throw null!;

    public void CopyToHost<T>(T aDest, CUdeviceptr aSource)
        where T : struct => throw null!;

    public void CopyToHost(byte[] aDest, CUdeviceptr aSource) => throw null!;

    public void CopyToHost(float[] aDest, CUdeviceptr aSource) => throw null!;

    public void CopyToHost(int[] aDest, CUdeviceptr aSource) => throw null!;

    public void CopyToHost(nint aDest, CUdeviceptr aSource, uint aSizeInBytes) => throw null!;

    public void CopyToHost(long aDest, CUdeviceptr aSource) => throw null!;

    public void CopyToHost(uint aDest, CUdeviceptr aSource) => throw null!;

    public void CopyToHost(ulong aDest, CUdeviceptr aSource) => throw null!;

    public void CopyToHost(dim3 aDest, CUdeviceptr aSource) => throw null!;

    public string GetDeviceName() => throw null!;

    public Version GetDeviceComputeCapability() => throw null!;

    public CudaDeviceProperties GetDeviceInfo() => throw null!;

    public void GetStreamPriorityRange(ref int leastPriority, ref int greatestPriority) => throw null!;

    public void RecordEvent(CudaEvent hEvent) => throw null!;

    public void WaitEvent(CudaEvent hEvent) => throw null!;

    public static string GetDeviceName(int deviceID) => throw null!;

    public static Version GetDeviceComputeCapability(int deviceID) => throw null!;

    public static Version GetDriverVersion() => throw null!;

    public static CudaDeviceProperties GetDeviceInfo(int deviceId) => throw null!;

    public static int GetDeviceCount() => throw null!;

    public static CUdevice GetCUdevice(int deviceId) => throw null!;

    public static void CtxResetPersistingL2Cache() => throw null!;

    public static CUCtxFlags GetFlags() => throw null!;

    public static void SetFlags(CUCtxFlags flags) => throw null!;
}
