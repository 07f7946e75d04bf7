using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>
/// A device's context: what is allocated, loaded and launched belongs to one. Current on the thread that made it; another
/// thread calls <see cref="SetCurrent"/> first. Made as <see cref="PrimaryContext"/>.
/// </summary>
public abstract unsafe class CudaContext : IDisposable
{
    private readonly Driver _driver;
    private readonly ContextHandle _handle;
    private readonly ConcurrentDictionary<nint, DriverHandle> _modules = new();

    private protected CudaContext(int deviceId)
    {
        _driver = DriverLibrary.Load();
        DeviceId = deviceId;
        Device = GetCUdevice(deviceId);
        _handle = new ContextHandle(_driver, Device);
        SetCurrent();
    }

    public CUcontext Context => _handle.Context;

    public CUdevice Device { get; }

    public int DeviceId { get; }

    /// <summary>How many devices there are.</summary>
    /// <exception cref="DllNotFoundException">There is no driver.</exception>
    public static int GetDeviceCount()
    {
        int count;
        CudaException.ThrowOnError(DriverLibrary.Load().DeviceGetCount(&count), "cuDeviceGetCount");
        return count;
    }

    public static CUdevice GetCUdevice(int deviceId)
    {
        CUdevice device;
        CudaException.ThrowOnError(DriverLibrary.Load().DeviceGet(&device, deviceId), "cuDeviceGet", $"device {deviceId}");
        return device;
    }

    public static string GetDeviceName(int deviceID)
    {
        byte* name = stackalloc byte[256];
        CudaException.ThrowOnError(DriverLibrary.Load().DeviceGetName(name, 256, GetCUdevice(deviceID)), "cuDeviceGetName");
        return Marshal.PtrToStringUTF8((nint)name) ?? "";
    }

    public static Version GetDeviceComputeCapability(int deviceID) =>
        new(Attribute(deviceID, CUDeviceAttribute.ComputeCapabilityMajor), Attribute(deviceID, CUDeviceAttribute.ComputeCapabilityMinor));

    /// <summary>The CUDA version that the driver knows.</summary>
    public static Version GetDriverVersion()
    {
        int version;
        CudaException.ThrowOnError(DriverLibrary.Load().DriverGetVersion(&version), "cuDriverGetVersion");
        return new Version(version / 1000, version % 1000 / 10);
    }

    public static CudaDeviceProperties GetDeviceInfo(int deviceId)
    {
        SizeT memory;
        CudaException.ThrowOnError(DriverLibrary.Load().DeviceTotalMem(&memory, GetCUdevice(deviceId)), "cuDeviceTotalMem");
        return new CudaDeviceProperties
        {
            DeviceName = GetDeviceName(deviceId),
            DriverVersion = GetDriverVersion(),
            ComputeCapability = GetDeviceComputeCapability(deviceId),
            TotalGlobalMemory = memory,
            ComputeMode = (CUComputeMode)Attribute(deviceId, CUDeviceAttribute.ComputeMode),
            MaxThreadsPerBlock = Attribute(deviceId, CUDeviceAttribute.MaxThreadsPerBlock),
            SharedMemoryPerBlock = Attribute(deviceId, CUDeviceAttribute.MaxSharedMemoryPerBlock),
            WarpSize = Attribute(deviceId, CUDeviceAttribute.WarpSize),
            ClockRate = Attribute(deviceId, CUDeviceAttribute.ClockRate),
            MultiProcessorCount = Attribute(deviceId, CUDeviceAttribute.MultiProcessorCount),
            Integrated = Attribute(deviceId, CUDeviceAttribute.Integrated) != 0,
            EccEnabled = Attribute(deviceId, CUDeviceAttribute.ECCEnabled) != 0,
            PciBusId = Attribute(deviceId, CUDeviceAttribute.PCIBusID),
            PciDeviceId = Attribute(deviceId, CUDeviceAttribute.PCIDeviceID),
            PCIDomainID = Attribute(deviceId, CUDeviceAttribute.PCIDomainID),
            MemoryClockRate = Attribute(deviceId, CUDeviceAttribute.MemoryClockRate),
            GlobalMemoryBusWidth = Attribute(deviceId, CUDeviceAttribute.GlobalMemoryBusWidth),
            L2CacheSize = Attribute(deviceId, CUDeviceAttribute.L2CacheSize),
            MaxThreadsPerMultiProcessor = Attribute(deviceId, CUDeviceAttribute.MaxThreadsPerMultiProcessor),
            AsyncEngineCount = Attribute(deviceId, CUDeviceAttribute.AsyncEngineCount),
            UnifiedAddressing = Attribute(deviceId, CUDeviceAttribute.UnifiedAddressing) != 0,
            MaxSharedMemoryPerMultiprocessor = Attribute(deviceId, CUDeviceAttribute.MaxSharedMemoryPerMultiprocessor),
            MaxRegistersPerMultiprocessor = Attribute(deviceId, CUDeviceAttribute.MaxRegistersPerMultiprocessor),
            MaxSharedMemoryPerBlockOptin = Attribute(deviceId, CUDeviceAttribute.MaxSharedMemoryPerBlockOptin),
            MaxBlocksPerMultiProcessor = Attribute(deviceId, CUDeviceAttribute.MaxBlocksPerMultiProcessor),
            ReservedSharedMemoryPerBlock = Attribute(deviceId, CUDeviceAttribute.ReservedSharedMemoryPerBlock),
        };
    }

    public CudaDeviceProperties GetDeviceInfo() => GetDeviceInfo(DeviceId);

    public string GetDeviceName() => GetDeviceName(DeviceId);

    public Version GetDeviceComputeCapability() => GetDeviceComputeCapability(DeviceId);

    /// <summary>Makes it the calling thread's.</summary>
    public void SetCurrent() => CudaException.ThrowOnError(_driver.CtxSetCurrent(Context), "cuCtxSetCurrent", $"device {DeviceId}");

    public void PushContext() => CudaException.ThrowOnError(_driver.CtxPushCurrent(Context), "cuCtxPushCurrent", $"device {DeviceId}");

    public void PopContext()
    {
        CUcontext popped;
        CudaException.ThrowOnError(_driver.CtxPopCurrent(&popped), "cuCtxPopCurrent");
    }

    /// <summary>Waits for all that the device was asked to do in this context.</summary>
    public void Synchronize() => CudaException.ThrowOnError(_driver.CtxSynchronize(), "cuCtxSynchronize", $"device {DeviceId}");

    /// <summary>Bytes of the current context's device.</summary>
    public SizeT GetTotalDeviceMemorySize() => MemoryInfo().Total;

    /// <summary>Bytes that nobody has taken, of the current context's device.</summary>
    public SizeT GetFreeDeviceMemorySize() => MemoryInfo().Free;

    public void GetStreamPriorityRange(ref int leastPriority, ref int greatestPriority)
    {
        int least;
        int greatest;
        CudaException.ThrowOnError(_driver.CtxGetStreamPriorityRange(&least, &greatest), "cuCtxGetStreamPriorityRange");
        (leastPriority, greatestPriority) = (least, greatest);
    }

    public void ClearMemory(CUdeviceptr aPtr, byte aValue, SizeT aSizeInBytes) =>
        CudaException.ThrowOnError(_driver.MemsetD8(aPtr, aValue, aSizeInBytes), "cuMemsetD8", $"{aSizeInBytes} bytes");

    public void ClearMemory(CUdeviceptr aPtr, uint aValue, SizeT aSizeInBytes) =>
        CudaException.ThrowOnError(_driver.MemsetD32(aPtr, aValue, (ulong)aSizeInBytes / sizeof(uint)), "cuMemsetD32", $"{aSizeInBytes} bytes");

    /// <summary>Compiles PTX for the device.</summary>
    public CUmodule LoadModulePTX(byte[] moduleImage) => LoadModulePTX(moduleImage, [], []);

    /// <summary>Compiles PTX for the device.</summary>
    /// <param name="moduleImage">The text in ASCII; a zero at its end is added.</param>
    /// <param name="options">What the values mean.</param>
    /// <param name="values">A byte array for a log buffer, a uint for a size or number.</param>
    public CUmodule LoadModulePTX(byte[] moduleImage, CUJITOption[] options, object[] values)
    {
        ArgumentNullException.ThrowIfNull(moduleImage);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, options.Length);
        byte[] text = [.. moduleImage, 0];
        nint* given = stackalloc nint[Math.Max(1, values.Length)];
        GCHandle[] pins = new GCHandle[values.Length];
        try
        {
            for (int i = 0; i < values.Length; i++)
            {
                if (values[i] is byte[] buffer)
                {
                    pins[i] = GCHandle.Alloc(buffer, GCHandleType.Pinned);
                    given[i] = pins[i].AddrOfPinnedObject();
                }
                else
                {
                    given[i] = (nint)Convert.ToUInt32(values[i]);
                }
            }

            CUmodule module;
            fixed (byte* image = text)
            fixed (CUJITOption* names = options)
                CudaException.ThrowOnError(_driver.ModuleLoadDataEx(&module, image, (uint)options.Length, names, given), "cuModuleLoadDataEx", $"{moduleImage.Length} bytes of PTX");
            _modules[module.Pointer] = new DriverHandle(_driver, module.Pointer, _driver.ModuleUnload);
            return module;
        }
        finally
        {
            foreach (GCHandle pin in pins)
            {
                if (pin.IsAllocated)
                    pin.Free();
            }
        }
    }

    public CudaKernel LoadKernelPTX(byte[] moduleImage, string kernelName) => new(kernelName, LoadModulePTX(moduleImage), this);

    /// <summary>Modules that are not unloaded go with the context.</summary>
    public void UnloadModule(CUmodule aModule)
    {
        if (_modules.TryRemove(aModule.Pointer, out DriverHandle? module))
            module.Dispose();
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Ends the use of the context; it lives until what was made in it is disposed, too.</summary>
    protected virtual void Dispose(bool fDisposing)
    {
        if (!fDisposing)
            return;
        foreach (DriverHandle module in _modules.Values)
            module.Dispose();
        _modules.Clear();
        _handle.Dispose();
    }

    private static int Attribute(int deviceId, CUDeviceAttribute attribute)
    {
        int value;
        CudaException.ThrowOnError(DriverLibrary.Load().DeviceGetAttribute(&value, attribute, GetCUdevice(deviceId)), "cuDeviceGetAttribute", attribute.ToString());
        return value;
    }

    private (SizeT Free, SizeT Total) MemoryInfo()
    {
        SizeT free;
        SizeT total;
        CudaException.ThrowOnError(_driver.MemGetInfo(&free, &total), "cuMemGetInfo", $"device {DeviceId}");
        return (free, total);
    }
}
