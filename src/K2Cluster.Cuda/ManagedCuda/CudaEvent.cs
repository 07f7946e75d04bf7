using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>A mark in a stream: whether the work before it is done, and when.</summary>
public sealed unsafe class CudaEvent : IDisposable
{
    private readonly Driver _driver = DriverLibrary.Load();
    private readonly DriverHandle _handle;

    public CudaEvent()
        : this(CUEventFlags.Default)
    {
    }

    public CudaEvent(CUEventFlags flags)
    {
        CUevent made;
        CudaException.ThrowOnError(_driver.EventCreate(&made, flags), "cuEventCreate");
        _handle = new DriverHandle(_driver, made.Pointer, _driver.EventDestroy);
    }

    public CUevent Event => new() { Pointer = _handle.Value };

    /// <summary>In the null stream.</summary>
    public void Record() => Record(default);

    public void Record(CUstream stream) => CudaException.ThrowOnError(_driver.EventRecord(Event, stream), "cuEventRecord");

    /// <summary>Waits until the work before it is done; at once when it was never recorded.</summary>
    public void Synchronize() => CudaException.ThrowOnError(_driver.EventSynchronize(Event), "cuEventSynchronize");

    /// <summary>Whether the work before it is done.</summary>
    public bool Query()
    {
        CUResult result = _driver.EventQuery(Event);
        if (result == CUResult.ErrorNotReady)
            return false;
        CudaException.ThrowOnError(result, "cuEventQuery");
        return true;
    }

    /// <summary>Milliseconds between two marks that were both reached.</summary>
    public static float ElapsedTime(CudaEvent eventStart, CudaEvent eventEnd)
    {
        ArgumentNullException.ThrowIfNull(eventStart);
        ArgumentNullException.ThrowIfNull(eventEnd);
        float milliseconds;
        CudaException.ThrowOnError(eventStart._driver.EventElapsedTime(&milliseconds, eventStart.Event, eventEnd.Event), "cuEventElapsedTime");
        return milliseconds;
    }

    public void Dispose() => _handle.Dispose();
}
