using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;
using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>A module on a device.</summary>
internal sealed class FakeModule(FakeDevice device, PtxProgram program)
{
    public FakeDevice Device { get; } = device;

    public PtxProgram Program { get; } = program;

    public bool IsUnloaded { get; set; }
}

/// <summary>A kernel of a module, with what was set for it.</summary>
internal sealed class FakeFunction(FakeModule module, PtxKernel kernel)
{
    public const int DefaultSharedBytes = 48 * 1024;

    public FakeModule Module { get; } = module;

    public PtxKernel Kernel { get; } = kernel;

    public string Name => Kernel.Name;

    public int StaticSharedBytes { get; } = module.Program.StaticSharedBytes(kernel.Name);

    public int MaxDynamicSharedBytes { get; set; } = DefaultSharedBytes;

    /// <summary>Whether a launch of this shape may be tried at all, and why not.</summary>
    public (CUResult Result, string Reason) Check(LaunchShape shape)
    {
        FakeGpu gpu = Module.Device.Gpu;
        if (shape.Grid.X < 1 || shape.Grid.Y is < 1 or > 65535 || shape.Grid.Z is < 1 or > 65535)
            return (CUResult.ErrorInvalidValue, $"a grid of {shape.Grid}");
        if (shape.Block.X < 1 || shape.Block.Y < 1 || shape.Block.Z < 1 || shape.Block.Count > Math.Min(gpu.MaxThreadsPerBlock, Kernel.MaxThreads))
            return (CUResult.ErrorInvalidValue, $"a block of {shape.Block}, at most {Math.Min(gpu.MaxThreadsPerBlock, Kernel.MaxThreads)} threads");
        if (shape.SharedBytes > MaxDynamicSharedBytes)
            return (CUResult.ErrorInvalidValue, $"{shape.SharedBytes} bytes of dynamic shared memory, at most {MaxDynamicSharedBytes} as set");
        return (CUResult.Success, "");
    }

    /// <summary>The parameter block, from the addresses of the values.</summary>
    public unsafe byte[] Parameters(void** values)
    {
        byte[] block = new byte[Math.Max(1, Kernel.ParameterBlockBytes)];
        for (int i = 0; i < Kernel.Parameters.Count; i++)
        {
            PtxParameter parameter = Kernel.Parameters[i];
            new ReadOnlySpan<byte>(values[i], parameter.Bytes).CopyTo(block.AsSpan(parameter.Offset));
        }

        return block;
    }
}

/// <summary>One kernel's launch in a graph.</summary>
internal sealed record FakeNode(FakeFunction Function, LaunchShape Shape, byte[] Parameters);

/// <summary>A graph: kernels in an order that its edges allow, which is the order in which they were added.</summary>
internal sealed class FakeGraph
{
    public List<(nint Handle, FakeNode Node)> Nodes { get; } = [];

    public bool IsDestroyed { get; set; }
}

/// <summary>An instantiated graph: a copy, whose nodes can get other parameters.</summary>
internal sealed class FakeGraphExec(FakeDevice device, FakeGraph graph)
{
    public FakeDevice Device { get; } = device;

    /// <summary>What it was made from, whose nodes name its own as long as it lives.</summary>
    public FakeGraph Graph { get; } = graph;

    public List<(nint Handle, FakeNode Node)> Nodes { get; } = [.. graph.Nodes];
}
