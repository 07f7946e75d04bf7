using ManagedCuda.BasicTypes;

namespace ManagedCuda;

public sealed class CudaStream : IDisposable
{
    public CudaStream() => throw null!;

    public CudaStream(CUstream stream) => throw null!;

    public CudaStream(CUstream stream, bool isOwner) => throw null!;

    public CudaStream(CUStreamFlags flags) => throw null!;

    public CudaStream(int priority) => throw null!;

    public CudaStream(int priority, CUStreamFlags flags) => throw null!;

    public CUstream Stream => throw null!;

    public ulong ID => throw null!;

    public void Dispose() => throw null!;

    public void Synchronize() => throw null!;

    public bool Query() => throw null!;

    public void WaitEvent(CUevent cuevent) => throw null!;

    public int GetPriority() => throw null!;

    public CUStreamFlags GetFlags() => throw null!;

    public CUdevice GetDevice() => throw null!;

    public void CopyAttributes(CudaStream dst) => throw null!;
}
