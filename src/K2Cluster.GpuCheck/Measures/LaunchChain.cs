using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.GpuCheck.Measures;

/// <summary>Launches one after another as one graph, so that the host's time for a launch does not count.</summary>
internal sealed unsafe class LaunchChain : IDisposable
{
    private readonly CudaGraph _graph = new();
    private CUgraphNode? _last;
    private CudaGraphExec? _executable;

    /// <summary>Adds a launch. Values are addresses and numbers of 32 or 64 bits; the driver copies them.</summary>
    public void Add(CudaKernel kernel, object[] values)
    {
        ulong* raw = stackalloc ulong[values.Length];
        nint* addresses = stackalloc nint[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            raw[i] = values[i] switch
            {
                CUdeviceptr address => address.Pointer,
                uint number => number,
                ulong number => number,
                object other => throw new ArgumentException($"A kernel is given a {other.GetType().Name}.", nameof(values)),
            };
            addresses[i] = (nint)(raw + i);
        }

        _last = _graph.AddKernelNode(_last is { } before ? [before] : [], kernel, (nint)addresses, 0);
    }

    public void Launch(CudaStream stream) => (_executable ??= _graph.Instantiate(default)).Launch(stream);

    public void Dispose()
    {
        _executable?.Dispose();
        _graph.Dispose();
    }
}
