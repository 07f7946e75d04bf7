using ManagedCuda.BasicTypes;

namespace ManagedCuda;

public sealed class CudaPageLockedHostMemory<T> : IDisposable
    where T : struct
{
    public CudaPageLockedHostMemory(SizeT size, CUMemHostAllocFlags allocFlags) => throw null!;

    public CudaPageLockedHostMemory(SizeT size) => throw null!;

    public CudaPageLockedHostMemory(nint hostPointer, SizeT size) => throw null!;

    public nint PinnedHostPointer => throw null!;

    public SizeT SizeInBytes => throw null!;

    public SizeT Size => throw null!;

    public bool IsOwner => throw null!;

    public void Dispose() => throw null!;

    public void SynchronCopyToDevice(CUdeviceptr devicePtr) => throw null!;

    public void SynchronCopyToDevice(CudaDeviceVariable<T> devicePtr) => throw null!;

    public void SynchronCopyToHost(CUdeviceptr devicePtr) => throw null!;

    public void SynchronCopyToHost(CudaDeviceVariable<T> devicePtr) => throw null!;

    public void SynchronCopyToDevice(CUdeviceptr devicePtr, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes) => throw null!;

    public void SynchronCopyToDevice(CudaDeviceVariable<T> devicePtr, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes) => throw null!;

    public void SynchronCopyToHost(CUdeviceptr devicePtr, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes) => throw null!;

    public void SynchronCopyToHost(CudaDeviceVariable<T> devicePtr, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes) => throw null!;

    public void AsyncCopyToDevice(CUdeviceptr devicePtr, CUstream stream) => throw null!;

    public void AsyncCopyToDevice(CudaDeviceVariable<T> deviceVar, CUstream stream) => throw null!;

    public void AsyncCopyFromDevice(CUdeviceptr devicePtr, CUstream stream) => throw null!;

    public void AsyncCopyFromDevice(CudaDeviceVariable<T> deviceVar, CUstream stream) => throw null!;

    public void AsyncCopyToDevice(CUdeviceptr devicePtr, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes, CUstream stream) => throw null!;

    public void AsyncCopyToDevice(CudaDeviceVariable<T> deviceVar, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes, CUstream stream) => throw null!;

    public void AsyncCopyFromDevice(CUdeviceptr devicePtr, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes, CUstream stream) => throw null!;

    public void AsyncCopyFromDevice(CudaDeviceVariable<T> deviceVar, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes, CUstream stream) => throw null!;

    public CUdeviceptr GetDevicePointer() => throw null!;

    public CUMemHostAllocFlags GetAllocFlags() => throw null!;
}
