using System.Runtime.InteropServices;
using K2Cluster.PtxEmulator.Memory;
using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>Memory, copies and fills.</summary>
internal static unsafe partial class EntryPoints
{
    [UnmanagedCallersOnly(EntryPoint = "cuMemAlloc_v2")]
    private static CUResult MemAlloc(CUdeviceptr* address, SizeT bytes)
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        if ((ulong)bytes == 0)
            return Misuse(CUResult.ErrorInvalidValue, "0 bytes of device memory are asked for");
        if (!device.TakesAllocation())
            return CUResult.ErrorOutOfMemory;
        try
        {
            *address = new CUdeviceptr(device.Memory.Allocate(bytes));
            return CUResult.Success;
        }
        catch (DeviceMemoryException)
        {
            return CUResult.ErrorOutOfMemory;
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "cuMemFree_v2")]
    private static CUResult MemFree(nint address)
    {
        if (FakeMachine.Current is not { } machine || !machine.Devices.Any(device => device.Memory.IsOwn((ulong)address)))
            return CUResult.ErrorDeinitialized;
        CUResult result = Enter(out FakeDevice device);
        if (device is null)
            return result;
        // The real one waits for the device, too. After a sticky error the memory is gone anyway: not a leak of the program's.
        device.SynchronizeAll();
        try
        {
            device.Memory.Free((ulong)address);
        }
        catch (DeviceMemoryException exception)
        {
            return Misuse(CUResult.ErrorInvalidValue, $"cuda:{device.Ordinal}: {exception.Message}");
        }

        return device.Sticky;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuMemHostAlloc")]
    private static CUResult MemHostAlloc(nint* address, SizeT bytes, CUMemHostAllocFlags flags)
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        if (!device.TakesPinnedAllocation())
            return CUResult.ErrorOutOfMemory;
        *address = Machine.AllocatePinned((nint)(long)bytes);
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuMemFreeHost")]
    private static CUResult MemFreeHost(nint address)
    {
        if (FakeMachine.Current is not { } machine)
            return CUResult.ErrorDeinitialized;
        (bool found, int pending) = machine.FreePinned(address);
        if (!found && FakeMachine.WasAbandoned(address))
            return CUResult.ErrorDeinitialized;
        if (!found)
            return Misuse(CUResult.ErrorInvalidValue, $"0x{address:x} is not pinned memory, or is freed again");
        CUResult result = Enter(out _);
        if (pending > 0)
            machine.Note($"pinned memory at 0x{address:x} is freed while {pending} copies are to run on it");
        return result;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuMemcpyHtoD_v2")]
    private static CUResult MemcpyHtoD(CUdeviceptr target, void* source, SizeT bytes)
    {
        nint from = (nint)source;
        return Synchronous(default, device => device.Memory.Write(Address(target), new ReadOnlySpan<byte>((void*)from, (int)bytes)));
    }

    [UnmanagedCallersOnly(EntryPoint = "cuMemcpyDtoH_v2")]
    private static CUResult MemcpyDtoH(void* target, CUdeviceptr source, SizeT bytes)
    {
        nint to = (nint)target;
        return Synchronous(default, device => device.Memory.Read(Address(source), new Span<byte>((void*)to, (int)bytes)));
    }

    [UnmanagedCallersOnly(EntryPoint = "cuMemcpyDtoD_v2")]
    private static CUResult MemcpyDtoD(CUdeviceptr target, CUdeviceptr source, SizeT bytes) =>
        Synchronous(default, device => device.Memory.Copy(Address(target), Address(source), (int)bytes));

    /// <summary>From pinned memory the bytes are read when the copy's turn comes; from other memory at once, as the driver does.</summary>
    [UnmanagedCallersOnly(EntryPoint = "cuMemcpyHtoDAsync_v2")]
    private static CUResult MemcpyHtoDAsync(CUdeviceptr target, void* source, SizeT bytes, CUstream stream)
    {
        nint from = (nint)source;
        int count = (int)bytes;
        if (FakeMachine.Current?.FindPinned(from, count) is not { } pinned)
        {
            byte[] copy = new ReadOnlySpan<byte>(source, count).ToArray();
            return Asynchronous(stream, device => device.Memory.Write(Address(target), copy));
        }

        pinned.Begin();
        CUResult result = Asynchronous(stream, device => device.Memory.Write(Address(target), new ReadOnlySpan<byte>((void*)from, count)), pinned.End);
        return result;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuMemcpyDtoHAsync_v2")]
    private static CUResult MemcpyDtoHAsync(void* target, CUdeviceptr source, SizeT bytes, CUstream stream)
    {
        nint to = (nint)target;
        int count = (int)bytes;
        if (FakeMachine.Current?.FindPinned(to, count) is not { } pinned)
            return Synchronous(stream, device => device.Memory.Read(Address(source), new Span<byte>((void*)to, count)));
        pinned.Begin();
        return Asynchronous(stream, device => device.Memory.Read(Address(source), new Span<byte>((void*)to, count)), pinned.End);
    }

    [UnmanagedCallersOnly(EntryPoint = "cuMemcpyDtoDAsync_v2")]
    private static CUResult MemcpyDtoDAsync(CUdeviceptr target, CUdeviceptr source, SizeT bytes, CUstream stream) =>
        Asynchronous(stream, device => device.Memory.Copy(Address(target), Address(source), (int)bytes));

    [UnmanagedCallersOnly(EntryPoint = "cuMemsetD8_v2")]
    private static CUResult MemsetD8(CUdeviceptr target, byte value, SizeT count) =>
        Synchronous(default, device => device.Memory.Fill(Address(target), value, (int)count));

    [UnmanagedCallersOnly(EntryPoint = "cuMemsetD32_v2")]
    private static CUResult MemsetD32(CUdeviceptr target, uint value, SizeT count) =>
        Synchronous(default, device => FillWords(device, target, value, (int)count));

    [UnmanagedCallersOnly(EntryPoint = "cuMemsetD8Async")]
    private static CUResult MemsetD8Async(CUdeviceptr target, byte value, SizeT count, CUstream stream) =>
        Asynchronous(stream, device => device.Memory.Fill(Address(target), value, (int)count));

    [UnmanagedCallersOnly(EntryPoint = "cuMemsetD32Async")]
    private static CUResult MemsetD32Async(CUdeviceptr target, uint value, SizeT count, CUstream stream) =>
        Asynchronous(stream, device => FillWords(device, target, value, (int)count));

    private static CUResult Asynchronous(CUstream handle, Action<FakeDevice> copy, Action? end = null)
    {
        CUResult result = Enter(handle, out FakeDevice device, out FakeStream stream);
        if (result == CUResult.Success)
            result = device.AtCopyCall();
        if (result != CUResult.Success)
        {
            end?.Invoke();
            return result;
        }

        device.Enqueue(stream, () =>
        {
            try
            {
                device.Copy(() => copy(device));
            }
            finally
            {
                end?.Invoke();
            }
        });
        return CUResult.Success;
    }

    private static CUResult Synchronous(CUstream handle, Action<FakeDevice> copy)
    {
        CUResult result = Asynchronous(handle, copy);
        if (result != CUResult.Success)
            return result;
        Enter(handle, out FakeDevice device, out FakeStream stream);
        stream?.Synchronize();
        return device.Sticky;
    }

    private static void FillWords(FakeDevice device, CUdeviceptr target, uint value, int count)
    {
        uint[] words = new uint[count];
        Array.Fill(words, value);
        device.Memory.Write<uint>(Address(target), words);
    }

    private static ulong Address(CUdeviceptr pointer) => (ulong)pointer.Pointer;
}
