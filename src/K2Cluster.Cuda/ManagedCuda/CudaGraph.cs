using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>Launches and what they depend on, to be launched as one.</summary>
public sealed unsafe class CudaGraph : IDisposable
{
    private readonly Driver _driver = DriverLibrary.Load();
    private readonly DriverHandle _handle;

    public CudaGraph()
    {
        CUgraph graph;
        CudaException.ThrowOnError(_driver.GraphCreate(&graph, 0), "cuGraphCreate");
        _handle = new DriverHandle(_driver, graph.Pointer, _driver.GraphDestroy);
    }

    public CUgraph Graph => new() { Pointer = _handle.Value };

    /// <param name="dependencies">What must end first; null for nothing.</param>
    /// <param name="kernel">With its extents.</param>
    /// <param name="parameters">Addresses of the values of its parameters; the values are copied now.</param>
    /// <param name="extras">Zero, or the driver's other way to give parameters.</param>
    public CUgraphNode AddKernelNode(CUgraphNode[]? dependencies, CudaKernel kernel, nint parameters, nint extras)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        return AddKernelNode(dependencies, new CudaKernelNodeParams
        {
            func = kernel.CUFunction,
            gridDimX = kernel.GridDimensions.x,
            gridDimY = kernel.GridDimensions.y,
            gridDimZ = kernel.GridDimensions.z,
            blockDimX = kernel.BlockDimensions.x,
            blockDimY = kernel.BlockDimensions.y,
            blockDimZ = kernel.BlockDimensions.z,
            sharedMemBytes = kernel.DynamicSharedMemory,
            kernelParams = parameters,
            extra = extras,
        });
    }

    /// <param name="dependencies">What must end first; null for nothing.</param>
    /// <param name="nodeParams">The launch; the values of the kernel's parameters are copied now.</param>
    public CUgraphNode AddKernelNode(CUgraphNode[]? dependencies, CudaKernelNodeParams nodeParams)
    {
        CUgraphNode node;
        fixed (CUgraphNode* before = dependencies)
            CudaException.ThrowOnError(_driver.GraphAddKernelNode(&node, Graph, before, dependencies?.Length ?? 0, &nodeParams), "cuGraphAddKernelNode");
        return node;
    }

    public CudaGraphExec Instantiate(CUgraphInstantiate_flags flags)
    {
        CUgraphExec executable;
        CudaException.ThrowOnError(_driver.GraphInstantiateWithFlags(&executable, Graph, flags), "cuGraphInstantiateWithFlags");
        return new CudaGraphExec(_driver, executable, flags);
    }

    public void Dispose() => _handle.Dispose();
}
