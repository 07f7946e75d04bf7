using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>One reference to a device's primary context; what was made in the context holds it, so that it goes last.</summary>
internal sealed unsafe class ContextHandle : SafeHandle
{
    /// <summary>By the driver's handle; of several references to one context, the first that lives.</summary>
    private static readonly ConcurrentDictionary<nint, ContextHandle> Live = new();

    private readonly Driver _driver;
    private readonly CUdevice _device;

    public ContextHandle(Driver driver, CUdevice device)
        : base(0, ownsHandle: true)
    {
        (_driver, _device) = (driver, device);
        CUcontext context;
        CudaException.ThrowOnError(driver.DevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
        SetHandle(context.Pointer);
        Live.TryAdd(handle, this);
    }

    public override bool IsInvalid => handle == 0;

    public CUcontext Context => new() { Pointer = handle };

    /// <summary>The context that is current on this thread, when it is one of ours.</summary>
    public static ContextHandle? Current(Driver driver)
    {
        CUcontext context;
        return driver.CtxGetCurrent(&context) == CUResult.Success && Live.TryGetValue(context.Pointer, out ContextHandle? handle) ? handle : null;
    }

    protected override bool ReleaseHandle()
    {
        Live.TryRemove(new KeyValuePair<nint, ContextHandle>(handle, this));
        return _driver.DevicePrimaryCtxRelease(_device) == CUResult.Success;
    }
}
