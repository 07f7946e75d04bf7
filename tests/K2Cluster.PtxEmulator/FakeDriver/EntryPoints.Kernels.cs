using System.Runtime.InteropServices;
using System.Text;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;
using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>Modules, functions, launches, graphs.</summary>
internal static unsafe partial class EntryPoints
{
    [UnmanagedCallersOnly(EntryPoint = "cuModuleLoadDataEx")]
    private static CUResult ModuleLoadDataEx(CUmodule* module, void* image, uint optionCount, CUJITOption* options, nint* values)
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        string text = Marshal.PtrToStringUTF8((nint)image) ?? "";
        try
        {
            PtxModule parsed = PtxModule.Parse(text, "image");
            if (!Takes(device.Gpu.Capability, parsed.Target))
            {
                WriteLog($"PTX for {parsed.Target} does not run on compute capability {device.Gpu.Capability}", optionCount, options, values);
                return CUResult.ErrorNoBinaryForGPU;
            }

            PtxProgram program = new(parsed, device.Memory);
            program.DecodeAll();
            module->Pointer = Machine.Add(new FakeModule(device, program));
            return CUResult.Success;
        }
        catch (PtxSyntaxException exception)
        {
            WriteLog(exception.Message, optionCount, options, values);
            return CUResult.ErrorInvalidPtx;
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "cuModuleUnload")]
    private static CUResult ModuleUnload(nint handle)
    {
        if (Remove<FakeModule>(handle) is not { } module)
            return NotFound(handle, "is not a module, or is unloaded again");
        module.Device.SynchronizeAll();
        module.IsUnloaded = true;
        module.Program.Dispose();
        return module.Device.Sticky;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuModuleGetFunction")]
    private static CUResult ModuleGetFunction(CUfunction* function, CUmodule module, byte* name)
    {
        if (Get<FakeModule>(module.Pointer) is not { } found)
            return NotFound(module.Pointer, "is not a module, or was unloaded");
        if (!found.Program.Module.TryKernel(Marshal.PtrToStringUTF8((nint)name) ?? "", out PtxKernel? kernel))
            return CUResult.ErrorNotFound;
        function->Pointer = Machine.Add(new FakeFunction(found, kernel!));
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuFuncGetAttribute")]
    private static CUResult FuncGetAttribute(int* value, CUFunctionAttribute attribute, CUfunction function)
    {
        if (Get<FakeFunction>(function.Pointer) is not { } found)
            return NotFound(function.Pointer, "is not a function");
        *value = attribute switch
        {
            CUFunctionAttribute.MaxThreadsPerBlock => Math.Min(found.Kernel.MaxThreads, found.Module.Device.Gpu.MaxThreadsPerBlock),
            CUFunctionAttribute.SharedSizeBytes => found.StaticSharedBytes,
            CUFunctionAttribute.NumRegs => 128,
            CUFunctionAttribute.PTXVersion => 78,
            CUFunctionAttribute.BinaryVersion => (10 * found.Module.Device.Gpu.Capability.Major) + found.Module.Device.Gpu.Capability.Minor,
            CUFunctionAttribute.MaxDynamicSharedSizeBytes => found.MaxDynamicSharedBytes,
            _ => 0,
        };
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuFuncSetAttribute")]
    private static CUResult FuncSetAttribute(CUfunction function, CUFunctionAttribute attribute, int value)
    {
        if (Get<FakeFunction>(function.Pointer) is not { } found)
            return NotFound(function.Pointer, "is not a function");
        if (attribute != CUFunctionAttribute.MaxDynamicSharedSizeBytes || value < 0 || value + found.StaticSharedBytes > found.Module.Device.Gpu.MaxSharedBytesOptin)
            return Misuse(CUResult.ErrorInvalidValue, $"{found.Name}: {attribute} of {value}, at most {found.Module.Device.Gpu.MaxSharedBytesOptin - found.StaticSharedBytes}");
        found.MaxDynamicSharedBytes = value;
        return found.Module.Device.Sticky;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuOccupancyMaxActiveBlocksPerMultiprocessor")]
    private static CUResult OccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int blockSize, SizeT dynamicBytes)
    {
        if (Get<FakeFunction>(function.Pointer) is not { } found || blockSize < 1)
            return Misuse(CUResult.ErrorInvalidValue, $"occupancy of 0x{function.Pointer:x} in blocks of {blockSize}");
        long shared = (long)(ulong)dynamicBytes + found.StaticSharedBytes + 1024;
        *blocks = (int)Math.Min(2048 / blockSize, (found.Module.Device.Gpu.MaxSharedBytesOptin + 1024) / shared);
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuLaunchKernel")]
    private static CUResult LaunchKernel(
        CUfunction function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, CUstream handle, void** values, void** extra)
    {
        CUResult result = Enter(handle, out FakeDevice device, out FakeStream stream);
        if (result != CUResult.Success)
            return result;
        result = Prepare(device, function, new Dim3((int)gridX, (int)gridY, (int)gridZ), new Dim3((int)blockX, (int)blockY, (int)blockZ), sharedBytes, values, extra, out FakeNode node);
        if (result == CUResult.Success)
            device.Enqueue(stream, () => device.Run(node.Function, node.Shape, node.Parameters));
        return result;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuGraphCreate")]
    private static CUResult GraphCreate(CUgraph* graph, uint flags)
    {
        graph->Pointer = Machine.Add(new FakeGraph());
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuGraphDestroy")]
    private static CUResult GraphDestroy(nint handle)
    {
        if (Remove<FakeGraph>(handle) is not { } graph)
            return NotFound(handle, "is not a graph, or is destroyed again");
        graph.IsDestroyed = true;
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuGraphAddKernelNode_v2")]
    private static CUResult GraphAddKernelNode(CUgraphNode* added, CUgraph graph, CUgraphNode* after, SizeT afterCount, CudaKernelNodeParams* parameters)
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        if (Get<FakeGraph>(graph.Pointer) is not { } found)
            return NotFound(graph.Pointer, "is not a graph, or was destroyed");
        for (int i = 0; i < (int)afterCount; i++)
        {
            nint before = after[i].Pointer;
            if (!found.Nodes.Exists(node => node.Handle == before))
                return Misuse(CUResult.ErrorInvalidValue, $"0x{before:x} is not a node of the graph");
        }

        result = Prepare(device, parameters, out FakeNode made);
        if (result != CUResult.Success)
            return result;
        added->Pointer = Machine.Add(made);
        found.Nodes.Add((added->Pointer, made));
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuGraphInstantiateWithFlags")]
    private static CUResult GraphInstantiateWithFlags(CUgraphExec* made, CUgraph graph, CUgraphInstantiate_flags flags)
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        if (Get<FakeGraph>(graph.Pointer) is not { } found)
            return NotFound(graph.Pointer, "is not a graph, or was destroyed");
        device.CountGraph();
        made->Pointer = Machine.Add(new FakeGraphExec(device, found));
        return CUResult.Success;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuGraphExecDestroy")]
    private static CUResult GraphExecDestroy(nint handle) => Remove<FakeGraphExec>(handle) is { } found
        ? found.Device.Sticky
        : NotFound(handle, "is not an instantiated graph, or is destroyed again");

    [UnmanagedCallersOnly(EntryPoint = "cuGraphExecKernelNodeSetParams_v2")]
    private static CUResult GraphExecKernelNodeSetParams(CUgraphExec graph, CUgraphNode node, CudaKernelNodeParams* parameters)
    {
        CUResult result = Enter(out FakeDevice device);
        if (result != CUResult.Success)
            return result;
        if (Get<FakeGraphExec>(graph.Pointer) is not { } found)
            return NotFound(graph.Pointer, "is not an instantiated graph, or was destroyed");
        int index = found.Nodes.FindIndex(known => known.Handle == node.Pointer);
        if (index < 0 || found.Graph.IsDestroyed)
            return Misuse(CUResult.ErrorInvalidValue, $"0x{node.Pointer:x} is not a node of the graph, or the graph was destroyed");
        result = Prepare(device, parameters, out FakeNode made);
        if (result != CUResult.Success)
            return result;
        device.CountNodeChange();
        found.Nodes[index] = (node.Pointer, made);
        return result;
    }

    [UnmanagedCallersOnly(EntryPoint = "cuGraphUpload")]
    private static CUResult GraphUpload(CUgraphExec graph, CUstream handle)
    {
        CUResult result = Enter(handle, out _, out _);
        if (result != CUResult.Success)
            return result;
        return Get<FakeGraphExec>(graph.Pointer) is not null
            ? CUResult.Success
            : NotFound(graph.Pointer, "is not an instantiated graph, or was destroyed");
    }

    [UnmanagedCallersOnly(EntryPoint = "cuGraphLaunch")]
    private static CUResult GraphLaunch(CUgraphExec graph, CUstream handle)
    {
        CUResult result = Enter(handle, out FakeDevice device, out FakeStream stream);
        if (result != CUResult.Success)
            return result;
        if (Get<FakeGraphExec>(graph.Pointer) is not { } found || found.Device != device)
            return NotFound(graph.Pointer, $"is not an instantiated graph of cuda:{device.Ordinal}, or was destroyed");
        FakeNode[] nodes = [.. found.Nodes.Select(node => node.Node)];
        device.Enqueue(stream, () =>
        {
            foreach (FakeNode node in nodes)
                device.Run(node.Function, node.Shape, node.Parameters);
        });
        return CUResult.Success;
    }

    private static CUResult Prepare(FakeDevice device, CudaKernelNodeParams* given, out FakeNode node) => Prepare(
        device,
        given->func,
        new Dim3((int)given->gridDimX, (int)given->gridDimY, (int)given->gridDimZ),
        new Dim3((int)given->blockDimX, (int)given->blockDimY, (int)given->blockDimZ),
        given->sharedMemBytes,
        (void**)given->kernelParams,
        (void**)given->extra,
        out node);

    private static CUResult Prepare(FakeDevice device, CUfunction function, Dim3 grid, Dim3 block, uint sharedBytes, void** values, void** extra, out FakeNode node)
    {
        node = null!;
        if (Get<FakeFunction>(function.Pointer) is not { } found || found.Module.Device != device || found.Module.IsUnloaded)
            return NotFound(function.Pointer, $"is not a function of cuda:{device.Ordinal}, or its module was unloaded");
        LaunchShape shape = new(grid, block, (int)sharedBytes);
        (CUResult result, string reason) = found.Check(shape);
        if (result != CUResult.Success)
            return Misuse(result, $"cuda:{device.Ordinal}: {found.Name} with {reason}");
        if (extra != null || (values == null && found.Kernel.Parameters.Count > 0))
            return Misuse(CUResult.ErrorInvalidValue, $"{found.Name} without its parameters");
        node = new FakeNode(found, shape, found.Parameters(values));
        return CUResult.Success;
    }

    /// <summary>PTX runs on its target's capability and all later ones; that of an "a" target on no other.</summary>
    private static bool Takes(Version capability, string target)
    {
        string digits = target.StartsWith("sm_", StringComparison.Ordinal) ? target[3..] : "";
        bool exact = digits.EndsWith('a');
        if (!int.TryParse(digits.TrimEnd('a'), out int number))
            return false;
        int own = (10 * capability.Major) + capability.Minor;
        return exact ? own == number : own >= number;
    }

    private static void WriteLog(string message, uint count, CUJITOption* options, nint* values)
    {
        nint buffer = 0;
        int bytes = 0;
        for (uint i = 0; i < count; i++)
        {
            if (options[i] == CUJITOption.ErrorLogBuffer)
                buffer = values[i];
            else if (options[i] == CUJITOption.ErrorLogBufferSizeBytes)
                bytes = (int)values[i];
        }

        if (buffer == 0 || bytes < 1)
            return;
        Span<byte> log = new((void*)buffer, bytes);
        log.Clear();
        byte[] text = Encoding.UTF8.GetBytes(message);
        text.AsSpan(0, Math.Min(text.Length, bytes - 1)).CopyTo(log);
    }
}
