using ManagedCuda.BasicTypes;

namespace ManagedCuda;

public sealed class CudaEvent : IDisposable
{
    public CudaEvent() => throw null!;

    public CudaEvent(CUEventFlags flags) => throw null!;

    public CUevent Event => throw null!;

    public void Dispose() => throw null!;

    public void Record() => throw null!;

    public void Record(CUstream stream) => throw null!;

    public void Synchronize() => throw null!;

    public bool Query() => throw null!;

    public static float ElapsedTime(CudaEvent eventStart, CudaEvent eventEnd) => throw null!;
}
