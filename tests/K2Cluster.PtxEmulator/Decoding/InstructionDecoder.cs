using System.Runtime.InteropServices;
using K2Cluster.PtxEmulator.Arithmetic;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>Makes a kernel's statements into instructions with handlers. What is not supported is refused with its line and opcode.</summary>
internal sealed unsafe partial class InstructionDecoder
{
    private readonly PtxKernel _kernel;
    private readonly IReadOnlyDictionary<string, ulong> _globals;
    private readonly RegisterFile _registers;
    private readonly Dictionary<string, ulong> _shared = new(StringComparer.Ordinal);
    private readonly List<int> _vectors = [];
    private readonly List<int> _reads = [];
    private readonly List<int> _writes = [];
    private PtxStatement _statement = null!;
    private int _sharedBytes;
    private int _granule = sizeof(uint);
    private bool _atomics;
    private bool _isCopy;

    private InstructionDecoder(PtxKernel kernel, IReadOnlyDictionary<string, ulong> globals)
    {
        _kernel = kernel;
        _globals = globals;
        _registers = new RegisterFile(kernel);
        LayOutShared();
    }

    /// <param name="kernel">Parsed.</param>
    /// <param name="globals">Device addresses of the module's variables.</param>
    /// <exception cref="PtxSyntaxException">Something is not supported.</exception>
    public static DecodedKernel Decode(PtxKernel kernel, IReadOnlyDictionary<string, ulong> globals) => new InstructionDecoder(kernel, globals).Decode();

    private DecodedKernel Decode()
    {
        int count = _kernel.Statements.Count;
        ControlFlow flow = new(_kernel);
        List<RegisterUse> uses = [];
        Instruction* code = (Instruction*)NativeMemory.AlignedAlloc((nuint)((count + 1) * sizeof(Instruction)), 64);
        for (int i = 0; i < count; i++)
        {
            _statement = _kernel.Statements[i];
            _reads.Clear();
            _writes.Clear();
            _isCopy = false;
            Instruction instruction = new() { D = _registers.Discard, D2 = -1, Guard = -1, Index = i };
            if (_statement.Guard is { } guard)
            {
                instruction.Guard = _registers.Offset((int)guard.Value);
                instruction.GuardNegated = _statement.GuardNegated;
            }

            try
            {
                DecodeStatement(ref instruction);
            }
            catch (IndexOutOfRangeException)
            {
                throw Error("has too few operands");
            }

            if (instruction.Flow == Flow.Branch)
                instruction.Reconvergence = flow.Reconvergence(i);
            code[i] = instruction;
            uses.Add(new RegisterUse([.. _reads], [.. _writes], _isCopy));
        }

        code[count] = new Instruction { Guard = -1, D2 = -1, Index = Math.Max(0, count - 1), Flow = Flow.Return };
        (Tracking?[] tracking, string[] names) = Track(flow, uses, code);
        return new DecodedKernel
        {
            Kernel = _kernel,
            Code = code,
            Constants = _registers.Image(),
            Vectors = [.. _vectors],
            Special = _registers.Special,
            Tracking = tracking,
            TrackedNames = names,
            StaticSharedBytes = _sharedBytes,
            SharedGranule = _granule,
            HasGlobalAtomics = _atomics,
        };
    }

    private (Tracking?[] Tracking, string[] Names) Track(ControlFlow flow, List<RegisterUse> uses, Instruction* code)
    {
        HashSet<int> found = Initialisation.MaybeUnwritten(_kernel, flow, uses);
        Dictionary<int, int> number = [];
        foreach (int register in found.Order())
            number.Add(register, number.Count);
        Tracking?[] tracking = new Tracking?[uses.Count];
        for (int i = 0; i < uses.Count; i++)
        {
            int guard = _kernel.Statements[i].Guard is { } operand && number.TryGetValue((int)operand.Value, out int at) ? at : -1;
            int[] reads = [.. uses[i].Reads.Where(found.Contains).Select(register => number[register])];
            int[] writes = [.. uses[i].Writes.Where(found.Contains).Select(register => number[register])];
            if (guard < 0 && reads.Length == 0 && writes.Length == 0)
                continue;
            tracking[i] = new Tracking(reads, writes, uses[i].IsCopy, guard);
            code[i].Tracked = true;
        }

        return (tracking, [.. found.Order().Select(register => _kernel.Registers[register].Name)]);
    }

    private void LayOutShared()
    {
        int dynamicAlignment = 16;
        List<string> dynamic = [];
        foreach (PtxVariable variable in _kernel.Module.Variables.Concat(_kernel.Variables))
        {
            if (variable.Space != PtxSpace.Shared)
                continue;
            if (variable.Bytes == 0)
            {
                dynamic.Add(variable.Name);
                dynamicAlignment = Math.Max(dynamicAlignment, variable.Alignment);
                continue;
            }

            _sharedBytes = (_sharedBytes + variable.Alignment - 1) / variable.Alignment * variable.Alignment;
            _shared.Add(variable.Name, SharedMemory.Base + (ulong)_sharedBytes);
            _sharedBytes += variable.Bytes;
        }

        if (dynamic.Count == 0)
            return;
        _sharedBytes = (_sharedBytes + dynamicAlignment - 1) / dynamicAlignment * dynamicAlignment;
        foreach (string name in dynamic)
            _shared.Add(name, SharedMemory.Base + (ulong)_sharedBytes);
    }

    private void DecodeStatement(ref Instruction instruction)
    {
        switch (_statement.Parts[0])
        {
            case "bra":
                Allow("uni");
                instruction.Flow = Flow.Branch;
                instruction.Target = _kernel.Labels[Operand(0).Name];
                break;
            case "ret" or "exit":
                Allow("uni");
                instruction.Flow = Flow.Return;
                break;
            case "trap":
                instruction.Flow = Flow.Trap;
                break;
            case "bar" or "barrier":
                DecodeBarrier(ref instruction);
                break;
            case "membar" or "fence" or "nanosleep" or "prefetch" or "prefetchu":
                instruction.Handler = &Nothing;
                break;
            case "ld" or "ldu":
                DecodeLoad(ref instruction);
                break;
            case "st":
                DecodeStore(ref instruction);
                break;
            case "atom" or "red":
                DecodeAtomic(ref instruction);
                break;
            case "cp":
                DecodeAsyncCopy(ref instruction);
                break;
            case "ldmatrix":
                DecodeLoadMatrix(ref instruction);
                break;
            case "mma":
                DecodeMma(ref instruction);
                break;
            case "shfl" or "vote" or "activemask" or "match" or "redux":
                DecodeWarp(ref instruction);
                break;
            case "mov":
                DecodeMove(ref instruction);
                break;
            case "cvt":
                DecodeConvert(ref instruction);
                break;
            case "cvta":
                DecodeAddressConversion(ref instruction);
                break;
            case "setp":
                DecodeCompare(ref instruction);
                break;
            case "selp":
                DecodeSelect(ref instruction);
                break;
            default:
                DecodeArithmetic(ref instruction);
                break;
        }
    }

    private static void Nothing(Warp warp, Instruction* instruction)
    {
    }

    private void DecodeBarrier(ref Instruction instruction)
    {
        if (_statement.Has("warp"))
        {
            Allow("warp", "sync", "aligned");
            instruction.A = Source(0, PtxType.B32);
            instruction.Handler = &WarpHandlers.Synchronise;
            return;
        }

        Allow("cta", "sync", "arrive", "aligned");
        instruction.Flow = _statement.Has("arrive") ? Flow.BarrierArrive : Flow.Barrier;
        instruction.A = Source(0, PtxType.B32);
        instruction.B = _statement.Operands.Length > 1 ? Source(1, PtxType.B32) : -1;
        if (instruction.Flow == Flow.BarrierArrive && instruction.B < 0)
            throw Error("needs a count of threads");
    }

    // What follows reads operands; each read or written register is noted for the analysis of unwritten registers.

    private PtxType LastType => PtxTypes.Parse(_statement.Parts[^1]) is not PtxType.None and PtxType type ? type : throw Error("has no supported type");

    private PtxOperand Operand(int index) =>
        index < _statement.Operands.Length ? _statement.Operands[index] : throw Error($"has only {_statement.Operands.Length} operands");

    private int Source(int index, PtxType type) => Source(Operand(index), type);

    /// <summary>A register, special register, constant or variable's address, as lanes of 8 bytes for 64-bit types and of 4 for others.</summary>
    private int Source(PtxOperand operand, PtxType type)
    {
        bool wide = type.Bytes() == 8;
        switch (operand.Kind)
        {
            case PtxOperandKind.Register:
                PtxRegister register = _kernel.Registers[(int)operand.Value];
                if (register.Type == PtxType.Pred || (register.Type.Bytes() == 8) != wide)
                    throw Error($"operand {operand.Name} of {register.Type} where {type} should be");
                _reads.Add((int)operand.Value);
                return _registers.Offset((int)operand.Value);
            case PtxOperandKind.Special:
                return Special(operand, wide);
            case PtxOperandKind.Integer:
                if (type.IsFloat() && type is PtxType.F32 or PtxType.F64)
                    throw Error($"operand {operand.Name} is an integer where {type} should be");
                return _registers.Constant(wide, type.Bytes() == 2 ? (ushort)operand.Value : (ulong)operand.Value);
            case PtxOperandKind.Float32 when type is PtxType.F32 or PtxType.B32:
                return _registers.Constant(wide: false, (ulong)operand.Value);
            case PtxOperandKind.Float64 when type is PtxType.F64 or PtxType.B64:
                return _registers.Constant(wide: true, (ulong)operand.Value);
            case PtxOperandKind.Float64 when type is PtxType.F32:
                return _registers.Constant(wide: false, BitConverter.SingleToUInt32Bits((float)BitConverter.Int64BitsToDouble(operand.Value)));
            case PtxOperandKind.Symbol:
                return _registers.Constant(wide, Symbol(operand.Name) + (ulong)operand.Value);
            default:
                throw Error($"operand {operand.Name} where {type} should be");
        }
    }

    private int Special(PtxOperand operand, bool wide)
    {
        switch (operand.Name)
        {
            case "%tid.x" or "%tid.y" or "%tid.z" or "%ntid.x" or "%ntid.y" or "%ntid.z":
            case "%ctaid.x" or "%ctaid.y" or "%ctaid.z" or "%nctaid.x" or "%nctaid.y" or "%nctaid.z":
            case "%laneid" or "%warpid" or "%nwarpid" or "%smid" or "%nsmid":
            case "%lanemask_eq" or "%lanemask_lt" or "%lanemask_le" or "%lanemask_gt" or "%lanemask_ge":
            case "%dynamic_smem_size" or "%total_smem_size":
                return wide ? throw Error($"{operand.Name} has 32 bits") : _registers.SpecialOffset(operand.Name);
            default:
                throw Error($"the register {operand.Name} is not known");
        }
    }

    private ulong Symbol(string name)
    {
        if (_shared.TryGetValue(name, out ulong address) || _globals.TryGetValue(name, out address))
            return address;
        throw Error($"{name} is not a variable of shared, global or constant memory");
    }

    private int Destination(int index, PtxType type)
    {
        PtxOperand operand = Operand(index);
        return Destination(operand.Kind == PtxOperandKind.Pair ? operand.Parts[0] : operand, type);
    }

    private int Destination(PtxOperand operand, PtxType type)
    {
        if (operand.Kind == PtxOperandKind.Sink)
            return _registers.Discard;
        if (operand.Kind != PtxOperandKind.Register)
            throw Error($"{operand.Name} where a register for the result should be");
        PtxRegister register = _kernel.Registers[(int)operand.Value];
        if (register.Type == PtxType.Pred || (register.Type.Bytes() == 8) != (type.Bytes() == 8) || (register.Type.Bytes() == 2) != (type.Bytes() == 2))
            throw Error($"result {operand.Name} of {register.Type} where {type} should be");
        _writes.Add((int)operand.Value);
        return _registers.Offset((int)operand.Value);
    }

    private int PredicateDestination(PtxOperand operand)
    {
        if (operand.Kind == PtxOperandKind.Sink)
            return _registers.Discard;
        if (operand.Kind != PtxOperandKind.Register || _kernel.Registers[(int)operand.Value].Type != PtxType.Pred)
            throw Error($"{operand.Name} where a predicate should be");
        _writes.Add((int)operand.Value);
        return _registers.Offset((int)operand.Value);
    }

    private int PredicateSource(PtxOperand operand)
    {
        if (operand.Kind == PtxOperandKind.Integer)
            return _registers.Predicate(operand.Value != 0);
        if (operand.Kind != PtxOperandKind.Register || _kernel.Registers[(int)operand.Value].Type != PtxType.Pred)
            throw Error($"{operand.Name} where a predicate should be");
        _reads.Add((int)operand.Value);
        return _registers.Offset((int)operand.Value);
    }

    private PtxType RegisterType(PtxOperand operand) =>
        operand.Kind == PtxOperandKind.Register ? _kernel.Registers[(int)operand.Value].Type : PtxType.None;

    /// <summary>A modifier that an opcode does not know could change its meaning: refused.</summary>
    private void Allow(params ReadOnlySpan<string> modifiers)
    {
        foreach (string part in _statement.Parts.AsSpan(1))
        {
            if (PtxTypes.Parse(part) == PtxType.None && !modifiers.Contains(part) && !part.StartsWith("L1::", StringComparison.Ordinal) && !part.StartsWith("L2::", StringComparison.Ordinal))
                throw Error($"has the modifier .{part}, which is not supported");
        }
    }

    private PtxSyntaxException Error(string message) => new(_kernel.Module.Source, _statement.Line, $"{_statement.Opcode} {message}");
}
