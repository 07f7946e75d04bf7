using System.Text;
using ManagedCuda;
using ManagedCuda.BasicTypes;
using ManagedCuda.VectorTypes;

namespace K2Cluster.Cuda.Device;

/// <summary>The kernels of one card for one model, compiled by its driver, with what each is launched with (kernels/README.md).</summary>
internal sealed unsafe class ExpertKernels
{
    private const int ShuffleThreads = 256;
    private const int LogBytes = 8192;

    private readonly CudaKernel _shuffle;

    /// <param name="context">The card's, current.</param>
    /// <param name="card">What it is.</param>
    /// <param name="shape">The model's sizes.</param>
    /// <exception cref="CudaException">The driver does not take the kernels; the message has its compiler's.</exception>
    /// <exception cref="NotSupportedException">The card cannot run them.</exception>
    public ExpertKernels(CudaContext context, CudaCard card, ExpertShape shape)
    {
        Shape = shape;
        CudaDeviceProperties properties = context.GetDeviceInfo();
        int shared = properties.MaxSharedMemoryPerBlockOptin;
        int threads = properties.MaxThreadsPerBlock;
        uint grid = (uint)properties.MultiProcessorCount;
        string format = shape.IsInt4 ? "int4" : "bf16";

        PtxImages images = PtxImages.For(card.Capability);
        byte[] route = images.Read("k2_route");
        byte[] experts = images.Read($"k2_{format}");
        byte[] shuffle = images.Read("k2_shuffle");
        Kind = $"cuda-{PtxImages.Name(card.Capability)}-{images.Target}-{PtxImages.Hash(route, experts, shuffle)}";

        CUmodule routeModule = Load(context, "k2_route", route);
        CUmodule expertModule = Load(context, $"k2_{format}", experts);
        CUmodule shuffleModule = Load(context, "k2_shuffle", shuffle);
        Route = Make("k2_route", routeModule, LaunchPlan.Route(shape.Experts, shared, threads), 1);
        _shuffle = Make($"k2_shuffle_{format}", shuffleModule, new LaunchPlan(0, Math.Min(ShuffleThreads, threads), 0, 0), 2 * grid);

        LaunchPlan gateUp = LaunchPlan.Small(shape.IsInt4, shape.Hidden, 8, shared, threads);
        LaunchPlan down = LaunchPlan.Small(shape.IsInt4, shape.Intermediate, gateUp.RowsPerBlock, shared, threads);
        if (down.RowsPerBlock < gateUp.RowsPerBlock)
            gateUp = LaunchPlan.Small(shape.IsInt4, shape.Hidden, down.RowsPerBlock, shared, threads);
        LaunchPlan large = LaunchPlan.Large(shape.IsInt4, shared, threads);
        Small = new Pass(Make($"k2_gate_up_{format}_small", expertModule, gateUp, grid), gateUp, Make($"k2_down_{format}_small", expertModule, down, grid), down);
        Large = new Pass(Make($"k2_gate_up_{format}_large", expertModule, large, grid), large, Make($"k2_down_{format}_large", expertModule, large, grid), large);
    }

    public ExpertShape Shape { get; }

    /// <summary>Sorts the pairs of a call by expert.</summary>
    public CudaKernel Route { get; }

    /// <summary>What gives equal bits: the card's architecture, and the target and hash of the PTX.</summary>
    public string Kind { get; }

    /// <summary>For up to 8 rows of an expert at a time.</summary>
    public Pass Small { get; }

    /// <summary>For more.</summary>
    public Pass Large { get; }

    /// <summary>Blocks that a call of so many pairs may be cut into, by either pass.</summary>
    public int MostBlocks(int pairs) => Math.Min(pairs, (pairs / Math.Min(Small.RowsPerBlock, Large.RowsPerBlock)) + Shape.Experts);

    /// <summary>Brings an expert from the checkpoint's layout into a slot.</summary>
    /// <param name="stream">Where.</param>
    /// <param name="staged">The expert as the checkpoint has it, in device memory.</param>
    /// <param name="slot">The slot's address.</param>
    public void Shuffle(CudaStream stream, StagedExpert staged, CUdeviceptr slot)
    {
        int weightBits = Shape.IsInt4 ? 4 : 16;
        (int hidden, int intermediate) = (Shape.Hidden, Shape.Intermediate);
        CUdeviceptr lowerWeights = staged.Down + (intermediate * weightBits); // eight rows further
        CUdeviceptr downStream = slot + Shape.GateUpBytes;
        if (Shape.IsInt4)
        {
            CUdeviceptr lowerScales = staged.DownScales + (8 * (intermediate / 32) * sizeof(ushort));
            _shuffle.RunAsync(stream.Stream, staged.Gate, staged.GateScales, staged.Up, staged.UpScales, slot, (uint)(intermediate / 8), 8u, (uint)hidden);
            _shuffle.RunAsync(stream.Stream, staged.Down, staged.DownScales, lowerWeights, lowerScales, downStream, (uint)(hidden / 16), 16u, (uint)intermediate);
        }
        else
        {
            _shuffle.RunAsync(stream.Stream, staged.Gate, staged.Up, slot, (uint)(intermediate / 8), 8u, (uint)hidden);
            _shuffle.RunAsync(stream.Stream, staged.Down, lowerWeights, downStream, (uint)(hidden / 16), 16u, (uint)intermediate);
        }
    }

    internal static CudaKernel Make(string name, CUmodule module, LaunchPlan plan, uint grid)
    {
        CudaKernel kernel = new(name, module)
        {
            BlockDimensions = new dim3((uint)plan.Threads, 1, 1),
            GridDimensions = new dim3(grid, 1, 1),
            DynamicSharedMemory = (uint)plan.SharedBytes,
        };
        if (plan.SharedBytes > 48 << 10)
            kernel.MaxDynamicSharedSizeBytes = plan.SharedBytes;
        return kernel;
    }

    internal static CUmodule Load(CudaContext context, string name, byte[] ptx)
    {
        byte[] log = new byte[LogBytes];
        try
        {
            return context.LoadModulePTX(ptx, [CUJITOption.ErrorLogBuffer, CUJITOption.ErrorLogBufferSizeBytes], [log, (uint)log.Length]);
        }
        catch (CudaException exception)
        {
            string said = Encoding.UTF8.GetString(log.AsSpan(0, Math.Max(0, log.AsSpan().IndexOf((byte)0)))).ReplaceLineEndings(" ").Trim();
            throw new CudaException(exception.CudaError, $"The driver cannot compile {name}.ptx: {exception.Message} {said}".TrimEnd(), exception);
        }
    }

    /// <summary>The two products of a forward, and how each is launched.</summary>
    public sealed record Pass(CudaKernel GateUp, LaunchPlan GateUpPlan, CudaKernel Down, LaunchPlan DownPlan)
    {
        /// <summary>What the route is to cut to.</summary>
        public int RowsPerBlock => Math.Min(GateUpPlan.RowsPerBlock, DownPlan.RowsPerBlock);
    }
}
