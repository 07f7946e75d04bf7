using K2Cluster.Cuda.Device;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.GpuCheck;

/// <summary>All kernels, of one target's PTX, on a card.</summary>
internal sealed class KernelSet : IDisposable
{
    private readonly Gpu _gpu;
    private readonly Dictionary<string, CUmodule> _modules = [];

    /// <exception cref="KernelFailureException">The driver cannot compile a file.</exception>
    public KernelSet(Gpu gpu, Version target)
    {
        _gpu = gpu;
        Target = PtxImages.Name(target);
        PtxImages images = PtxImages.For(target);
        foreach (string file in (string[])["k2_route", "k2_int4", "k2_bf16", "k2_shuffle", "k2_copy"])
        {
            try
            {
                _modules[file] = ExpertKernels.Load(gpu.Context, file, images.Read(file));
            }
            catch (CudaException exception)
            {
                Dispose();
                throw new KernelFailureException(Target, file, exception);
            }
        }
    }

    /// <summary>"sm_90".</summary>
    public string Target { get; }

    /// <summary>The targets that this card takes, the best last.</summary>
    public static Version[] TargetsOf(CudaCard card) =>
        [.. new Version[] { new(8, 0), new(9, 0) }.Where(target => target <= card.Capability)];

    /// <summary>A kernel as it is to be launched.</summary>
    public CudaKernel Get(string name, LaunchPlan plan, int grid) => ExpertKernels.Make(name, _modules[FileOf(name)], plan, (uint)grid);

    /// <summary>Launches a kernel and waits for it, so that what goes wrong is known to be its doing.</summary>
    /// <exception cref="KernelFailureException">It failed.</exception>
    public void Run(string name, LaunchPlan plan, int grid, params object[] values)
    {
        try
        {
            Get(name, plan, grid).RunAsync(_gpu.Stream.Stream, values);
            _gpu.Stream.Synchronize();
        }
        catch (CudaException exception)
        {
            throw new KernelFailureException(Target, name, exception);
        }
    }

    public void Dispose()
    {
        foreach (CUmodule module in _modules.Values)
            _gpu.Context.UnloadModule(module);
        _modules.Clear();
    }

    private static string FileOf(string kernel) => kernel switch
    {
        "k2_route" or "k2_copy" => kernel,
        _ when kernel.StartsWith("k2_shuffle", StringComparison.Ordinal) => "k2_shuffle",
        _ when kernel.Contains("int4", StringComparison.Ordinal) => "k2_int4",
        _ => "k2_bf16",
    };
}
