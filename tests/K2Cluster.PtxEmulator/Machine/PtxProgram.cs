using System.Buffers.Binary;
using System.Collections.Concurrent;
using K2Cluster.PtxEmulator.Decoding;
using K2Cluster.PtxEmulator.Memory;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Machine;

/// <summary>A module loaded on a device: its variables have addresses, its kernels run.</summary>
public sealed unsafe class PtxProgram : IDisposable
{
    private readonly DeviceMemory _memory;
    private readonly Dictionary<string, ulong> _globals = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Lazy<DecodedKernel>> _kernels = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<ThreadBlock> _idle = [];
    private readonly HashSet<ThreadBlock> _made = [];

    public PtxProgram(PtxModule module, DeviceMemory memory)
    {
        Module = module;
        _memory = memory;
        foreach (PtxVariable variable in module.Variables.Where(variable => variable.Space is PtxSpace.Global or PtxSpace.Constant))
        {
            ulong address = memory.Allocate(Math.Max(1, variable.Bytes), variable.Name);
            byte[] bytes = new byte[Math.Max(1, variable.Bytes)];
            variable.Initial?.CopyTo(bytes, 0);
            memory.Write(address, bytes);
            _globals.Add(variable.Name, address);
        }

        foreach (PtxKernel kernel in module.Kernels)
            _kernels.Add(kernel.Name, new Lazy<DecodedKernel>(() => InstructionDecoder.Decode(kernel, _globals)));
    }

    public PtxModule Module { get; }

    public static PtxProgram Load(string text, DeviceMemory memory, string source = "module.ptx") => new(PtxModule.Parse(text, source), memory);

    /// <summary>Decodes every kernel, so that what is not supported is known now.</summary>
    /// <exception cref="PtxSyntaxException">Something is not supported.</exception>
    public void DecodeAll()
    {
        foreach (Lazy<DecodedKernel> kernel in _kernels.Values)
            _ = kernel.Value;
    }

    /// <summary>Bytes of shared memory that the kernel has besides the launch's.</summary>
    public int StaticSharedBytes(string kernel) => Decoded(kernel).StaticSharedBytes;

    /// <summary>Runs a kernel to its end.</summary>
    /// <param name="kernel">Its name.</param>
    /// <param name="shape">Grid, block, dynamic shared memory.</param>
    /// <param name="arguments">One for each parameter, of the parameter's size: addresses as <see cref="ulong"/>, numbers as int, uint, long, float, double; or its bytes.</param>
    /// <exception cref="PtxFaultException">The kernel did something wrong, or the launch does not fit it.</exception>
    public LaunchStatistics Launch(string kernel, LaunchShape shape, IReadOnlyList<object> arguments, EmulatorOptions? options = null)
    {
        DecodedKernel decoded = Decoded(kernel);
        if (arguments.Count != decoded.Kernel.Parameters.Count)
            throw BadLaunch(kernel, $"{arguments.Count} arguments for {decoded.Kernel.Parameters.Count} parameters");
        byte[] block = new byte[Math.Max(1, decoded.Kernel.ParameterBlockBytes)];
        for (int i = 0; i < arguments.Count; i++)
        {
            PtxParameter parameter = decoded.Kernel.Parameters[i];
            byte[] bytes = Bytes(arguments[i]);
            if (bytes.Length != parameter.Bytes)
                throw BadLaunch(kernel, $"argument {i} ({arguments[i]}) has {bytes.Length} bytes, {parameter.Name} {parameter.Bytes}");
            bytes.CopyTo(block, parameter.Offset);
        }

        return Launch(kernel, shape, block, options);
    }

    /// <summary>Runs a kernel to its end.</summary>
    /// <param name="parameters">The parameter block, each parameter at its offset.</param>
    /// <exception cref="PtxFaultException">The kernel did something wrong, or the launch does not fit it.</exception>
    public LaunchStatistics Launch(string kernel, LaunchShape shape, ReadOnlySpan<byte> parameters, EmulatorOptions? options = null)
    {
        options ??= EmulatorOptions.Default;
        DecodedKernel decoded = Decoded(kernel);
        int shared = Check(decoded, shape, parameters.Length, options);
        long blocks = shape.Grid.Count;
        int workers = decoded.HasGlobalAtomics ? 1 : (int)Math.Min(options.Workers, blocks);
        LaunchBudget budget = new(options.MaxInstructions);
        byte stamp = _memory.BeginLaunch();
        try
        {
            fixed (byte* start = parameters)
            {
                nint block = (nint)start;
                int next = -1;
                Exception? failure = null;
                void Work()
                {
                    ThreadBlock worker = Take(decoded);
                    worker.Begin(_memory, stamp, (byte*)block, shape, shared);
                    try
                    {
                        while (failure is null && Interlocked.Increment(ref next) is int index && index < blocks)
                            worker.Run(index, options.CheckShared, budget);
                        Return(worker);
                    }
                    catch (Exception thrown)
                    {
                        // The first of several faults is told; which is first, only one worker makes sure.
                        Interlocked.CompareExchange(ref failure, thrown, null);
                        Discard(worker);
                    }
                }

                if (workers <= 1)
                    Work();
                else
                    Parallel.For(0, workers, new ParallelOptions { MaxDegreeOfParallelism = workers }, _ => Work());
                if (failure is not null)
                    System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
            }
        }
        finally
        {
            _memory.EndLaunch();
        }

        return budget.Statistics;
    }

    public void Dispose()
    {
        lock (_made)
        {
            foreach (ThreadBlock block in _made)
                block.Dispose();
            _made.Clear();
            _idle.Clear();
        }

        foreach (Lazy<DecodedKernel> kernel in _kernels.Values.Where(kernel => kernel.IsValueCreated))
            kernel.Value.Dispose();
        foreach (ulong address in _globals.Values)
            _memory.Free(address);
        _globals.Clear();
    }

    private static byte[] Bytes(object argument)
    {
        byte[] bytes = new byte[argument is int or uint or float ? 4 : 8];
        switch (argument)
        {
            case byte[] raw:
                return raw;
            case int value:
                BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
                break;
            case uint value:
                BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
                break;
            case float value:
                BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
                break;
            case long value:
                BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
                break;
            case ulong value:
                BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
                break;
            case double value:
                BinaryPrimitives.WriteDoubleLittleEndian(bytes, value);
                break;
            default:
                throw new ArgumentException($"{argument.GetType()} is not an argument of a kernel.", nameof(argument));
        }

        return bytes;
    }

    private DecodedKernel Decoded(string kernel) =>
        _kernels.TryGetValue(kernel, out Lazy<DecodedKernel>? decoded) ? decoded.Value : throw BadLaunch(kernel, $"{Module.Source} has no such kernel");

    private static PtxFaultException BadLaunch(string kernel, string message) => new(PtxFaultKind.BadLaunch, message, kernel);

    private static int Check(DecodedKernel decoded, LaunchShape shape, int parameterBytes, EmulatorOptions options)
    {
        string kernel = decoded.Kernel.Name;
        if (parameterBytes < decoded.Kernel.ParameterBlockBytes)
            throw BadLaunch(kernel, $"{parameterBytes} bytes of parameters where {decoded.Kernel.ParameterBlockBytes} should be");
        if (shape.Grid.X < 1 || shape.Grid.Y is < 1 or > 65535 || shape.Grid.Z is < 1 or > 65535 || shape.Grid.Count > int.MaxValue)
            throw BadLaunch(kernel, $"a grid of {shape.Grid}");
        if (shape.Block.X < 1 || shape.Block.Y < 1 || shape.Block.Z < 1 || shape.Block.Count > decoded.Kernel.MaxThreads)
            throw BadLaunch(kernel, $"a block of {shape.Block}, at most {decoded.Kernel.MaxThreads} threads");
        if (decoded.Kernel.RequiredThreads is { } required && shape.Block.Count != required)
            throw BadLaunch(kernel, $"a block of {shape.Block}, where the kernel asks for {required} threads");
        long shared = (long)decoded.StaticSharedBytes + shape.SharedBytes;
        if (shape.SharedBytes < 0 || shared > options.MaxSharedBytes)
            throw BadLaunch(kernel, $"{shared} bytes of shared memory, at most {options.MaxSharedBytes}");
        return (int)shared;
    }

    private ThreadBlock Take(DecodedKernel kernel)
    {
        List<ThreadBlock> others = [];
        ThreadBlock? found = null;
        while (found is null && _idle.TryTake(out ThreadBlock? idle))
        {
            if (idle.Kernel == kernel)
                found = idle;
            else
                others.Add(idle);
        }

        foreach (ThreadBlock other in others)
            _idle.Add(other);
        if (found is not null)
            return found;
        ThreadBlock made = new(kernel);
        lock (_made)
            _made.Add(made);
        return made;
    }

    private void Return(ThreadBlock block) => _idle.Add(block);

    private void Discard(ThreadBlock block)
    {
        lock (_made)
            _made.Remove(block);
        block.Dispose();
    }
}
