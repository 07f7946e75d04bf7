using ManagedCuda.BasicTypes;

namespace ManagedCuda;

public sealed class CudaDeviceVariable<T> : IDisposable
    where T : struct
{
    public CudaDeviceVariable(SizeT size) => throw null!;

    public CudaDeviceVariable(SizeT size, CudaStream stream) => throw null!;

    public CudaDeviceVariable(CUdeviceptr devPtr) => throw null!;

    public CudaDeviceVariable(CUdeviceptr devPtr, bool isOwner) => throw null!;

    public CudaDeviceVariable(CUdeviceptr devPtr, SizeT size) => throw null!;

    public CudaDeviceVariable(CUdeviceptr devPtr, bool isOwner, SizeT size) => throw null!;

    public CudaDeviceVariable(CUmodule module, string name) => throw null!;

    public CudaDeviceVariable(CudaKernel kernel, string name) => throw null!;

    public CUdeviceptr DevicePointer => throw null!;

    public SizeT SizeInBytes => throw null!;

    public SizeT TypeSize => throw null!;

    public SizeT Size => throw null!;

    public bool IsOwner => throw null!;

    public static CudaDeviceVariable<T> Null => throw null!;

    public void Dispose() => throw null!;

    public void Dispose(CudaStream stream) => throw null!;

    public void CopyToDevice(CUdeviceptr source) => throw null!;

    public void CopyToDevice(CUdeviceptr source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes) => throw null!;

    public void CopyToDevice(CudaDeviceVariable<T> source) => throw null!;

    public void CopyToDevice(CudaDeviceVariable<T> source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes) => throw null!;

    public void CopyToDevice(T[] source) => throw null!;

    public void CopyToDevice(T[] source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes) => throw null!;

    public void CopyToDevice(T source) => throw null!;

    public void CopyToDevice(T source, SizeT offsetDest) => throw null!;

    public void CopyToDevice(nint source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes) => throw null!;

    public void CopyToDevice(nint source, SizeT offsetDest) => throw null!;

    public void CopyToDevice(nint source) => throw null!;

    public void CopyToHost(T[] dest) => throw null!;

    public void CopyToHost(T[] dest, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes) => throw null!;

    public void CopyToHost(ref T dest) => throw null!;

    public void CopyToHost(ref T dest, SizeT offsetSrc) => throw null!;

    public void CopyToHost(nint dest) => throw null!;

    public void CopyToHost(nint dest, SizeT offsetSrc) => throw null!;

    public void CopyToHost(nint dest, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes) => throw null!;

    public void AsyncCopyToDevice(CUdeviceptr source, CUstream stream) => throw null!;

    public void AsyncCopyToDevice(CudaDeviceVariable<T> source, CUstream stream) => throw null!;

    public void AsyncCopyToDevice(CUdeviceptr source, CudaStream stream) => throw null!;

    public void AsyncCopyToDevice(CudaDeviceVariable<T> source, CudaStream stream) => throw null!;

    public void AsyncCopyToDevice(CUdeviceptr source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes, CUstream stream) => throw null!;

    public void AsyncCopyToDevice(CudaDeviceVariable<T> source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes, CUstream stream) => throw null!;

    public void AsyncCopyToDevice(CUdeviceptr source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes, CudaStream stream) => throw null!;

    public void AsyncCopyToDevice(CudaDeviceVariable<T> source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes, CudaStream stream) => throw null!;

    public void Memset(byte aValue) => throw null!;

    public void Memset(uint aValue) => throw null!;

    public void MemsetAsync(byte aValue, CUstream stream) => throw null!;

    public void MemsetAsync(uint aValue, CUstream stream) => throw null!;
}
