using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>What is given to one stream runs in that order.</summary>
public sealed unsafe class CudaStream : IDisposable
{
    private readonly Driver _driver = DriverLibrary.Load();
    private readonly DriverHandle _handle;

    public CudaStream()
        : this(0, CUStreamFlags.None)
    {
    }

    public CudaStream(CUStreamFlags flags)
        : this(0, flags)
    {
    }

    public CudaStream(int priority)
        : this(priority, CUStreamFlags.None)
    {
    }

    /// <param name="priority">Less comes first; see <see cref="CudaContext.GetStreamPriorityRange"/>.</param>
    /// <param name="flags">Whether it waits for the null stream.</param>
    public CudaStream(int priority, CUStreamFlags flags)
    {
        CUstream stream;
        CudaException.ThrowOnError(_driver.StreamCreateWithPriority(&stream, flags, priority), "cuStreamCreateWithPriority");
        _handle = new DriverHandle(_driver, stream.Pointer, _driver.StreamDestroy);
    }

    public CUstream Stream => new() { Pointer = _handle.Value };

    public void Synchronize() => CudaException.ThrowOnError(_driver.StreamSynchronize(Stream), "cuStreamSynchronize");

    /// <summary>Whether all that it was given is done.</summary>
    public bool Query()
    {
        CUResult result = _driver.StreamQuery(Stream);
        if (result == CUResult.ErrorNotReady)
            return false;
        CudaException.ThrowOnError(result, "cuStreamQuery");
        return true;
    }

    /// <summary>What it is given from now on waits for the event as recorded last.</summary>
    public void WaitEvent(CUevent cuevent) => CudaException.ThrowOnError(_driver.StreamWaitEvent(Stream, cuevent, 0), "cuStreamWaitEvent");

    public void Dispose() => _handle.Dispose();
}
