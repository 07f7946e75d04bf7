using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>An array in the memory of the device whose context is current. Offsets and sizes are bytes.</summary>
/// <typeparam name="T">Of its elements.</typeparam>
public sealed unsafe class CudaDeviceVariable<T> : IDisposable
    where T : unmanaged
{
    private readonly Driver _driver = DriverLibrary.Load();
    private readonly DriverHandle _handle;

    /// <param name="size">Elements.</param>
    /// <exception cref="CudaException">The device has not so much memory left.</exception>
    public CudaDeviceVariable(SizeT size)
    {
        Size = size;
        CUdeviceptr pointer;
        CudaException.ThrowOnError(_driver.MemAlloc(&pointer, SizeInBytes), "cuMemAlloc", $"{SizeInBytes} bytes");
        _handle = new DriverHandle(_driver, (nint)(ulong)pointer.Pointer, _driver.MemFree);
    }

    /// <exception cref="ObjectDisposedException">It was freed.</exception>
    public CUdeviceptr DevicePointer => new((ulong)_handle.Value);

    /// <summary>Elements.</summary>
    public SizeT Size { get; }

    public SizeT SizeInBytes => checked((ulong)Size * (ulong)sizeof(T));

    public SizeT TypeSize => sizeof(T);

    public void CopyToDevice(T[] source)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)source.Length, (ulong)Size);
        fixed (T* from = source)
            CudaException.ThrowOnError(_driver.MemcpyHtoD(DevicePointer, from, checked((ulong)source.Length * (ulong)sizeof(T))), "cuMemcpyHtoD");
    }

    public void CopyToDevice(nint source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes) =>
        CudaException.ThrowOnError(_driver.MemcpyHtoD(DevicePointer + offsetDest, (byte*)source + (ulong)offsetSrc, sizeInBytes), "cuMemcpyHtoD");

    public void CopyToDevice(CUdeviceptr source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes) =>
        CudaException.ThrowOnError(_driver.MemcpyDtoD(DevicePointer + offsetDest, source + offsetSrc, sizeInBytes), "cuMemcpyDtoD");

    public void CopyToHost(T[] dest)
    {
        ArgumentNullException.ThrowIfNull(dest);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)dest.Length, (ulong)Size);
        fixed (T* to = dest)
            CudaException.ThrowOnError(_driver.MemcpyDtoH(to, DevicePointer, checked((ulong)dest.Length * (ulong)sizeof(T))), "cuMemcpyDtoH");
    }

    public void CopyToHost(nint dest, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes) =>
        CudaException.ThrowOnError(_driver.MemcpyDtoH((byte*)dest + (ulong)offsetDest, DevicePointer + offsetSrc, sizeInBytes), "cuMemcpyDtoH");

    public void AsyncCopyToDevice(CUdeviceptr source, SizeT offsetSrc, SizeT offsetDest, SizeT sizeInBytes, CUstream stream) =>
        CudaException.ThrowOnError(_driver.MemcpyDtoDAsync(DevicePointer + offsetDest, source + offsetSrc, sizeInBytes, stream), "cuMemcpyDtoDAsync");

    public void Memset(byte aValue) => CudaException.ThrowOnError(_driver.MemsetD8(DevicePointer, aValue, SizeInBytes), "cuMemsetD8");

    public void Memset(uint aValue) =>
        CudaException.ThrowOnError(_driver.MemsetD32(DevicePointer, aValue, (ulong)SizeInBytes / sizeof(uint)), "cuMemsetD32");

    public void MemsetAsync(byte aValue, CUstream stream) =>
        CudaException.ThrowOnError(_driver.MemsetD8Async(DevicePointer, aValue, SizeInBytes, stream), "cuMemsetD8Async");

    public void MemsetAsync(uint aValue, CUstream stream) =>
        CudaException.ThrowOnError(_driver.MemsetD32Async(DevicePointer, aValue, (ulong)SizeInBytes / sizeof(uint), stream), "cuMemsetD32Async");

    public void Dispose() => _handle.Dispose();
}
