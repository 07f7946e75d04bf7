using System.Runtime.InteropServices;
using System.Text;
using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>Devices and contexts.</summary>
internal static unsafe partial class EntryPoints
{
    [UnmanagedCallersOnly(EntryPoint = "cuDriverGetVersion")]
    private static CUResult DriverGetVersion(int* version)
    {
        *version = 12080;
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuDeviceGetCount")]
    private static CUResult DeviceGetCount(int* count)
    {
        *count = FakeMachine.Current?.Devices.Count ?? 0;
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuDeviceGet")]
    private static CUResult DeviceGet(CUdevice* device, int ordinal)
    {
        device->Pointer = ordinal;
        if (Device(*device) is null)
            return CUResult.ErrorInvalidDevice;
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuDeviceGetName")]
    private static CUResult DeviceGetName(byte* name, int length, CUdevice device)
    {
        if (Device(device) is not { } found || length < 1)
            return CUResult.ErrorInvalidDevice;
        byte[] bytes = Encoding.UTF8.GetBytes(found.Gpu.Name);
        Span<byte> target = new(name, length);
        target.Clear();
        bytes.AsSpan(0, Math.Min(bytes.Length, length - 1)).CopyTo(target);
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuDeviceTotalMem_v2")]
    private static CUResult DeviceTotalMem(SizeT* bytes, CUdevice device)
    {
        if (Device(device) is not { } found)
            return CUResult.ErrorInvalidDevice;
        *bytes = found.Gpu.MemoryBytes;
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuDeviceGetAttribute")]
    private static CUResult DeviceGetAttribute(int* value, CUDeviceAttribute attribute, CUdevice device)
    {
        if (Device(device) is not { } found)
            return CUResult.ErrorInvalidDevice;
        FakeGpu gpu = found.Gpu;
        *value = attribute switch
        {
            CUDeviceAttribute.MaxThreadsPerBlock => gpu.MaxThreadsPerBlock,
            CUDeviceAttribute.MaxSharedMemoryPerBlock => FakeFunction.DefaultSharedBytes,
            CUDeviceAttribute.WarpSize => 32,
            CUDeviceAttribute.ClockRate => 1_000_000,
            CUDeviceAttribute.MultiProcessorCount => gpu.MultiProcessors,
            CUDeviceAttribute.ECCEnabled => gpu.Ecc ? 1 : 0,
            CUDeviceAttribute.PCIBusID => found.Ordinal + 1,
            CUDeviceAttribute.MemoryClockRate => 1_000_000,
            CUDeviceAttribute.GlobalMemoryBusWidth => 512,
            CUDeviceAttribute.L2CacheSize => 1 << 20,
            CUDeviceAttribute.MaxThreadsPerMultiProcessor => 2048,
            CUDeviceAttribute.AsyncEngineCount => 2,
            CUDeviceAttribute.UnifiedAddressing => 1,
            CUDeviceAttribute.ComputeCapabilityMajor => gpu.Capability.Major,
            CUDeviceAttribute.ComputeCapabilityMinor => gpu.Capability.Minor,
            CUDeviceAttribute.MaxSharedMemoryPerMultiprocessor => gpu.MaxSharedBytesOptin + 1024,
            CUDeviceAttribute.MaxRegistersPerMultiprocessor => 65536,
            CUDeviceAttribute.MaxSharedMemoryPerBlockOptin => gpu.MaxSharedBytesOptin,
            CUDeviceAttribute.MaxBlocksPerMultiProcessor => 32,
            CUDeviceAttribute.ReservedSharedMemoryPerBlock => 1024,
            _ => 0,
        };
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuDevicePrimaryCtxRetain")]
    private static CUResult DevicePrimaryCtxRetain(CUcontext* context, CUdevice device)
    {
        if (Device(device) is not { } found)
            return CUResult.ErrorInvalidDevice;
        if (found.Sticky != CUResult.Success)
            return found.Sticky;
        lock (found)
        {
            found.ContextReferences++;
            if (found.Context == 0)
                found.Context = Machine.Add(found);
            context->Pointer = found.Context;
        }

        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuDevicePrimaryCtxRelease_v2")]
    private static CUResult DevicePrimaryCtxRelease(CUdevice device)
    {
        if (Device(device) is not { } found)
            return CUResult.ErrorInvalidDevice;
        lock (found)
        {
            if (found.ContextReferences == 0)
                return Misuse(CUResult.ErrorInvalidContext, $"the context of cuda:{found.Ordinal} is released more often than it was retained");
            found.ContextReferences--;
        }

        return found.Sticky;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuCtxSetCurrent")]
    private static CUResult CtxSetCurrent(CUcontext context)
    {
        if (context.Pointer != 0 && Get<FakeDevice>(context.Pointer) is null)
            return NotFound(context.Pointer, "is not a context");
        Contexts.TryPop(out _);
        if (context.Pointer != 0)
            Contexts.Push(context.Pointer);
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuCtxGetCurrent")]
    private static CUResult CtxGetCurrent(CUcontext* context)
    {
        context->Pointer = Contexts.TryPeek(out nint current) ? current : 0;
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuCtxPushCurrent_v2")]
    private static CUResult CtxPushCurrent(CUcontext context)
    {
        if (Get<FakeDevice>(context.Pointer) is null)
            return NotFound(context.Pointer, "is not a context");
        Contexts.Push(context.Pointer);
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuCtxPopCurrent_v2")]
    private static CUResult CtxPopCurrent(CUcontext* context)
    {
        if (!Contexts.TryPop(out nint popped))
            return Misuse(CUResult.ErrorInvalidContext, "a context is popped where none is current");
        if (context != null)
            context->Pointer = popped;
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuCtxSynchronize")]
    private static CUResult CtxSynchronize()
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        device.SynchronizeAll();
        return device.Sticky;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuCtxGetStreamPriorityRange")]
    private static CUResult CtxGetStreamPriorityRange(int* least, int* greatest)
    {
        (*least, *greatest) = (0, -5);
        return Enter(out _);
    }

    [UnmanagedCallersOnly(EntryPoint = "cuMemGetInfo_v2")]
    private static CUResult MemGetInfo(SizeT* free, SizeT* total)
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        *free = device.Gpu.MemoryBytes - device.Memory.AllocatedBytes;
        *total = device.Gpu.MemoryBytes;
        return CUResult.Success;
    }

    private static FakeDevice? Device(CUdevice device) =>
        FakeMachine.Current is { } machine && (uint)device.Pointer < (uint)machine.Devices.Count ? machine.Devices[device.Pointer] : null;
}
