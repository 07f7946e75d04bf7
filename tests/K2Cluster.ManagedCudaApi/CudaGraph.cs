using ManagedCuda.BasicTypes;

namespace ManagedCuda;

public sealed class CudaGraph : IDisposable
{
    public CudaGraph() => throw null!;

    public CUgraph Graph => throw null!;

    public void Dispose() => throw null!;

    public CUgraphNode AddEmptyNode(CUgraphNode[] dependencies) => throw null!;

    public CUgraphNode AddMemsetNode<T>(CUgraphNode[] dependencies, CudaDeviceVariable<T> deviceVariable, uint value, CudaContext ctx)
        where T : struct => throw null!;

    public CUgraphNode AddKernelNode(CUgraphNode[] dependencies, CudaKernelNodeParams nodeParams) => throw null!;

    public CUgraphNode AddKernelNode(CUgraphNode[] dependencies, CudaKernel kernel, nint parameters, nint extras) => throw null!;

    public CUgraphNode AddChildGraphNode(CUgraphNode[] dependencies, CudaGraph childGraph) => throw null!;

    public CUgraphNode AddEventRecordNode(CUgraphNode[] dependencies, CudaEvent event_) => throw null!;

    public CUgraphNode AddEventWaitNode(CUgraphNode[] dependencies, CudaEvent event_) => throw null!;

    public CUgraphNode AddMemFreeNode(CUgraphNode[] dependencies, CUdeviceptr dptr) => throw null!;

    public CudaGraph Clone() => throw null!;

    public CUgraphNode NodeFindInClone(CUgraphNode originalNode) => throw null!;

    public CUgraphNode[] GetNodes() => throw null!;

    public CUgraphNode[] GetRootNodes() => throw null!;

    public void GetEdges(ref CUgraphNode[] @from, ref CUgraphNode[] to) => throw null!;

    public void AddDependencies(CUgraphNode[] @from, CUgraphNode[] to) => throw null!;

    public void RemoveDependencies(CUgraphNode[] @from, CUgraphNode[] to) => throw null!;

    public CudaGraphExec Instantiate(CUgraphInstantiate_flags flags) => throw null!;
}
