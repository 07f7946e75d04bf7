using ManagedCuda.BasicTypes;

namespace ManagedCuda;

public sealed class CudaGraphExec : IDisposable
{
    private CudaGraphExec() => throw null!;

    public CUgraphExec Graph => throw null!;

    public CUgraphInstantiate_flags Flags => throw null!;

    public void Dispose() => throw null!;

    public void Launch(CudaStream stream) => throw null!;

    public void Upload(CudaStream stream) => throw null!;

    public void SetParams(CUgraphNode hNode, ref CudaKernelNodeParams nodeParams) => throw null!;

    public void SetParams(CUgraphNode hNode, CudaGraph childGraph) => throw null!;

    public void SetRecordEvent(CUgraphNode hNode, CudaEvent event_) => throw null!;

    public void SetWaitEvent(CUgraphNode hNode, CudaEvent event_) => throw null!;

    public void NodeSetEnabled(CUgraphNode hNode, bool isEnabled) => throw null!;

    public bool NodeGetEnabled(CUgraphNode hNode) => throw null!;
}
