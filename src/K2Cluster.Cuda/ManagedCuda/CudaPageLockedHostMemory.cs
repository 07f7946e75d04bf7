using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>Pinned memory of the host, from and to which a device copies beside its other work. Offsets and sizes are bytes.</summary>
/// <typeparam name="T">Of its elements.</typeparam>
public sealed unsafe class CudaPageLockedHostMemory<T> : IDisposable
    where T : unmanaged
{
    private readonly Driver _driver = DriverLibrary.Load();
    private readonly DriverHandle _handle;

    public CudaPageLockedHostMemory(SizeT size)
        : this(size, CUMemHostAllocFlags.None)
    {
    }

    /// <param name="size">Elements.</param>
    /// <param name="allocFlags">Who may use it, and how.</param>
    /// <exception cref="CudaException">The host cannot pin so much memory.</exception>
    public CudaPageLockedHostMemory(SizeT size, CUMemHostAllocFlags allocFlags)
    {
        Size = size;
        nint pointer;
        CudaException.ThrowOnError(_driver.MemHostAlloc(&pointer, SizeInBytes, allocFlags), "cuMemHostAlloc", $"{SizeInBytes} bytes");
        _handle = new DriverHandle(_driver, pointer, _driver.MemFreeHost);
    }

    /// <exception cref="ObjectDisposedException">It was freed.</exception>
    public nint PinnedHostPointer => _handle.Value;

    /// <summary>Elements.</summary>
    public SizeT Size { get; }

    public SizeT SizeInBytes => checked((ulong)Size * (ulong)sizeof(T));

    public void SynchronCopyToDevice(CUdeviceptr devicePtr) =>
        CudaException.ThrowOnError(_driver.MemcpyHtoD(devicePtr, (void*)PinnedHostPointer, SizeInBytes), "cuMemcpyHtoD");

    public void SynchronCopyToHost(CUdeviceptr devicePtr) =>
        CudaException.ThrowOnError(_driver.MemcpyDtoH((void*)PinnedHostPointer, devicePtr, SizeInBytes), "cuMemcpyDtoH");

    public void AsyncCopyToDevice(CUdeviceptr devicePtr, CUstream stream) => AsyncCopyToDevice(devicePtr, 0, 0, SizeInBytes, stream);

    public void AsyncCopyFromDevice(CUdeviceptr devicePtr, CUstream stream) => AsyncCopyFromDevice(devicePtr, 0, 0, SizeInBytes, stream);

    public void AsyncCopyToDevice(CUdeviceptr devicePtr, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes, CUstream stream) =>
        CudaException.ThrowOnError(
            _driver.MemcpyHtoDAsync(devicePtr + offsetDest, (byte*)PinnedHostPointer + (ulong)offsetSrc, aSizeInBytes, stream), "cuMemcpyHtoDAsync");

    public void AsyncCopyFromDevice(CUdeviceptr devicePtr, SizeT offsetSrc, SizeT offsetDest, SizeT aSizeInBytes, CUstream stream) =>
        CudaException.ThrowOnError(
            _driver.MemcpyDtoHAsync((byte*)PinnedHostPointer + (ulong)offsetDest, devicePtr + offsetSrc, aSizeInBytes, stream), "cuMemcpyDtoHAsync");

    public void Dispose() => _handle.Dispose();
}
