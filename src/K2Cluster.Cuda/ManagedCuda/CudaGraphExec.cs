using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>A graph ready to be launched, by one stream at a time.</summary>
public sealed unsafe class CudaGraphExec : IDisposable
{
    private readonly Driver _driver;
    private readonly DriverHandle _handle;

    internal CudaGraphExec(Driver driver, CUgraphExec executable, CUgraphInstantiate_flags flags)
    {
        _driver = driver;
        Flags = flags;
        _handle = new DriverHandle(driver, executable.Pointer, driver.GraphExecDestroy);
    }

    public CUgraphExec Graph => new() { Pointer = _handle.Value };

    public CUgraphInstantiate_flags Flags { get; }

    public void Launch(CudaStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        CudaException.ThrowOnError(_driver.GraphLaunch(Graph, stream.Stream), "cuGraphLaunch");
    }

    /// <summary>Brings it to the device before its first launch.</summary>
    public void Upload(CudaStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        CudaException.ThrowOnError(_driver.GraphUpload(Graph, stream.Stream), "cuGraphUpload");
    }

    /// <summary>Changes the parameters of one launch, from the next launch of the graph on.</summary>
    /// <param name="hNode">The node of the graph it was made from.</param>
    /// <param name="nodeParams">The same kernel with other values.</param>
    public void SetParams(CUgraphNode hNode, ref CudaKernelNodeParams nodeParams)
    {
        fixed (CudaKernelNodeParams* values = &nodeParams)
            CudaException.ThrowOnError(_driver.GraphExecKernelNodeSetParams(Graph, hNode, values), "cuGraphExecKernelNodeSetParams");
    }

    public void Dispose() => _handle.Dispose();
}
