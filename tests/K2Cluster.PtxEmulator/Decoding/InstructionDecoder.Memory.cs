using K2Cluster.PtxEmulator.Arithmetic;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>Loads, stores, atomic operations, copies, and the instructions of a whole warp.</summary>
internal sealed unsafe partial class InstructionDecoder
{
    private static readonly string[] AccessModifiers =
    [
        "global", "shared", "shared::cta", "param", "const", "nc", "weak", "volatile", "relaxed", "acquire", "release", "cta", "gpu", "sys", "cluster",
        "ca", "cg", "cs", "cv", "lu", "wb", "wt", "v2", "v4",
    ];

    private PtxSpace Space
    {
        get
        {
            if (_statement.Has("shared") || _statement.Has("shared::cta"))
                return PtxSpace.Shared;
            if (_statement.Has("global"))
                return PtxSpace.Global;
            if (_statement.Has("param"))
                return PtxSpace.Parameter;
            return _statement.Has("const") ? PtxSpace.Constant : PtxSpace.Generic;
        }
    }

    private void DecodeLoad(ref Instruction instruction)
    {
        Allow(AccessModifiers);
        PtxType type = LastType;
        PtxOperand[] targets = Elements(Operand(0));
        PtxType register = targets.Select(RegisterType).FirstOrDefault(found => found != PtxType.None);
        if (register is PtxType.None or PtxType.Pred || register.Bytes() < type.Bytes())
            throw Error($"cannot load {type} into {register}");
        instruction.Elements = targets.Length;
        instruction.Vector = _vectors.Count;
        instruction.Narrow = register.Bytes() == 2;
        foreach (PtxOperand target in targets)
            _vectors.Add(Destination(target, register));
        bool wide = register.Bytes() == 8;
        PtxSpace space = Space;
        if (space == PtxSpace.Parameter)
        {
            PtxOperand address = Operand(1);
            PtxParameter parameter = _kernel.Parameters.FirstOrDefault(parameter => parameter.Name == address.Parts[0].Name)
                ?? throw Error($"{address.Parts[0].Name} is not a parameter");
            if (address.Value < 0 || address.Value + (type.Bytes() * targets.Length) > parameter.Bytes)
                throw Error($"reads past the parameter {parameter.Name}");
            instruction.A = _registers.Constant(wide: true, 0);
            instruction.WideAddress = true;
            instruction.Immediate = parameter.Offset + address.Value;
            instruction.Handler = LoadHandler<ParameterSpace>(type, wide, instruction.Narrow);
            return;
        }

        DecodeAddress(ref instruction, Operand(1), type.Bytes() * targets.Length);
        instruction.Handler = space switch
        {
            PtxSpace.Shared => LoadHandler<SharedSpace>(type, wide, instruction.Narrow),
            PtxSpace.Global when _statement.Has("nc") || _statement.Parts[0] == "ldu" => LoadHandler<ReadOnlySpace>(type, wide, instruction.Narrow),
            PtxSpace.Global or PtxSpace.Constant => LoadHandler<GlobalSpace>(type, wide, instruction.Narrow),
            _ => LoadHandler<GenericSpace>(type, wide, instruction.Narrow),
        };
    }

    private void DecodeStore(ref Instruction instruction)
    {
        Allow(AccessModifiers);
        PtxType type = LastType;
        PtxOperand[] sources = Elements(Operand(1));
        PtxType register = sources.Select(RegisterType).FirstOrDefault(found => found != PtxType.None);
        bool wide = register == PtxType.None ? type.Bytes() == 8 : register.Bytes() == 8;
        if (register != PtxType.None && register.Bytes() < type.Bytes())
            throw Error($"cannot store {register} as {type}");
        instruction.Elements = sources.Length;
        instruction.Vector = _vectors.Count;
        foreach (PtxOperand source in sources)
            _vectors.Add(Source(source, wide ? PtxType.B64 : type.Bytes() == 4 ? type : PtxType.B32));
        DecodeAddress(ref instruction, Operand(0), type.Bytes() * sources.Length);
        instruction.Handler = Space switch
        {
            PtxSpace.Shared => StoreHandler<SharedSpace>(type, wide),
            PtxSpace.Global => StoreHandler<GlobalSpace>(type, wide),
            PtxSpace.Generic => StoreHandler<GenericSpace>(type, wide),
            PtxSpace other => throw Error($"cannot store to {other} memory"),
        };
    }

    /// <summary>Registers of a vector of 1, 2 or 4, as the modifier says.</summary>
    private PtxOperand[] Elements(PtxOperand operand)
    {
        PtxOperand[] elements = operand.Kind == PtxOperandKind.Vector ? operand.Parts : [operand];
        int wanted = _statement.Has("v4") ? 4 : _statement.Has("v2") ? 2 : 1;
        return elements.Length == wanted ? elements : throw Error($"has a vector of {elements.Length} where {wanted} should be");
    }

    private void DecodeAddress(ref Instruction instruction, PtxOperand address, int bytes)
    {
        if (address.Kind != PtxOperandKind.Address)
            throw Error($"{address.Name} where an address should be");
        (instruction.A, instruction.WideAddress) = AddressBase(address.Parts[0]);
        instruction.Immediate = address.Value;
        NoteShared(Space, bytes);
    }

    private (int Offset, bool Wide) AddressBase(PtxOperand operand)
    {
        bool wide = operand.Kind != PtxOperandKind.Register || _kernel.Registers[(int)operand.Value].Type.Bytes() == 8;
        return (Source(operand, wide ? PtxType.B64 : PtxType.B32), wide);
    }

    /// <summary>Shared memory is watched in granules of the shortest access.</summary>
    private void NoteShared(PtxSpace space, int bytes)
    {
        if (space is PtxSpace.Shared or PtxSpace.Generic)
            _granule = Math.Min(_granule, bytes);
    }

    private delegate*<Warp, Instruction*, void> LoadHandler<TSpace>(PtxType type, bool wide, bool narrow)
        where TSpace : ISpace
    {
        bool signed = type.IsSigned();
        switch (type.Bytes())
        {
            case 1 when wide:
                return signed ? &MemoryHandlers.Load<TSpace, sbyte, ulong> : &MemoryHandlers.Load<TSpace, byte, ulong>;
            case 1:
                return signed ? &MemoryHandlers.Load<TSpace, sbyte, uint> : &MemoryHandlers.Load<TSpace, byte, uint>;
            case 2 when wide:
                return signed ? &MemoryHandlers.Load<TSpace, short, ulong> : &MemoryHandlers.Load<TSpace, ushort, ulong>;
            case 2:
                return signed && !narrow ? &MemoryHandlers.Load<TSpace, short, uint> : &MemoryHandlers.Load<TSpace, ushort, uint>;
            case 4 when wide:
                return signed ? &MemoryHandlers.Load<TSpace, int, ulong> : &MemoryHandlers.Load<TSpace, uint, ulong>;
            case 4:
                return &MemoryHandlers.Load<TSpace, uint, uint>;
            case 8:
                return &MemoryHandlers.Load<TSpace, ulong, ulong>;
            default:
                throw Error($"cannot load {type}");
        }
    }

    private delegate*<Warp, Instruction*, void> StoreHandler<TSpace>(PtxType type, bool wide)
        where TSpace : ISpace
    {
        switch (type.Bytes())
        {
            case 1:
                return wide ? &MemoryHandlers.Store<TSpace, byte, ulong> : &MemoryHandlers.Store<TSpace, byte, uint>;
            case 2:
                return wide ? &MemoryHandlers.Store<TSpace, ushort, ulong> : &MemoryHandlers.Store<TSpace, ushort, uint>;
            case 4:
                return wide ? &MemoryHandlers.Store<TSpace, uint, ulong> : &MemoryHandlers.Store<TSpace, uint, uint>;
            case 8:
                return &MemoryHandlers.Store<TSpace, ulong, ulong>;
            default:
                throw Error($"cannot store {type}");
        }
    }

    private void DecodeAtomic(ref Instruction instruction)
    {
        Allow("global", "shared", "shared::cta", "relaxed", "acquire", "release", "acq_rel", "cta", "gpu", "sys", "noftz",
            "add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec");
        PtxType type = LastType;
        bool reduction = _statement.Parts[0] == "red";
        AtomicOperation operation = AtomicOf(_statement.Parts);
        if (type.Bytes() < 4 || (type == PtxType.F32 && operation is AtomicOperation.Minimum or AtomicOperation.Maximum))
            throw Error("is not supported");
        if (!reduction)
            instruction.D = Destination(0, type);
        else
            instruction.D = -1;
        int at = reduction ? 0 : 1;
        DecodeAddress(ref instruction, Operand(at), type.Bytes());
        instruction.B = Source(at + 1, type);
        if (operation == AtomicOperation.CompareExchange)
            instruction.C = Source(at + 2, type);
        instruction.Elements = (int)operation;
        instruction.Vector = (int)type;
        _atomics |= Space != PtxSpace.Shared;
        switch (Space)
        {
            case PtxSpace.Shared:
                instruction.Handler = &AtomicHandlers.Shared;
                break;
            case PtxSpace.Global:
                instruction.Handler = &AtomicHandlers.Global;
                break;
            default:
                instruction.Handler = &AtomicHandlers.Generic;
                break;
        }
    }

    private AtomicOperation AtomicOf(string[] parts)
    {
        foreach (string part in parts)
        {
            switch (part)
            {
                case "add":
                    return AtomicOperation.Add;
                case "min":
                    return AtomicOperation.Minimum;
                case "max":
                    return AtomicOperation.Maximum;
                case "and":
                    return AtomicOperation.And;
                case "or":
                    return AtomicOperation.Or;
                case "xor":
                    return AtomicOperation.Xor;
                case "exch":
                    return AtomicOperation.Exchange;
                case "cas":
                    return AtomicOperation.CompareExchange;
                case "inc":
                    return AtomicOperation.Increment;
                case "dec":
                    return AtomicOperation.Decrement;
            }
        }

        throw Error("is not supported");
    }

    private void DecodeAsyncCopy(ref Instruction instruction)
    {
        if (_statement.Has("commit_group"))
        {
            Allow("async", "commit_group");
            instruction.Handler = &MemoryHandlers.CommitAsync;
            return;
        }

        if (_statement.Has("wait_group") || _statement.Has("wait_all"))
        {
            Allow("async", "wait_group", "wait_all");
            instruction.Immediate = _statement.Has("wait_all") ? -1 : Constant(0);
            instruction.Handler = &MemoryHandlers.WaitAsync;
            return;
        }

        Allow("async", "ca", "cg", "shared", "shared::cta", "global");
        int bytes = (int)Constant(2);
        if (bytes is not (4 or 8 or 16) || (bytes != 16 && _statement.Has("cg")))
            throw Error($"cannot copy {bytes} bytes");
        PtxOperand target = Operand(0);
        PtxOperand source = Operand(1);
        if (target.Kind != PtxOperandKind.Address || source.Kind != PtxOperandKind.Address)
            throw Error("needs two addresses");
        (instruction.D, instruction.WideAddress) = AddressBase(target.Parts[0]);
        instruction.A = Source(source.Parts[0], PtxType.B64);
        instruction.B = _statement.Operands.Length > 3 ? Source(3, PtxType.B32) : -1;
        instruction.Elements = bytes;
        instruction.Immediate = (target.Value << 32) | (uint)source.Value;
        instruction.Handler = &MemoryHandlers.CopyAsync;
        NoteShared(PtxSpace.Shared, bytes);
    }

    private long Constant(int index) =>
        Operand(index) is { Kind: PtxOperandKind.Integer } operand ? operand.Value : throw Error($"{Operand(index).Name} where a constant should be");

    private void DecodeLoadMatrix(ref Instruction instruction)
    {
        Allow("sync", "aligned", "m8n8", "x1", "x2", "x4", "trans", "shared", "shared::cta");
        PtxOperand[] targets = Operand(0).Kind == PtxOperandKind.Vector ? Operand(0).Parts : [Operand(0)];
        int wanted = _statement.Has("x4") ? 4 : _statement.Has("x2") ? 2 : 1;
        if (targets.Length != wanted)
            throw Error($"has {targets.Length} registers where {wanted} should be");
        instruction.Vector = _vectors.Count;
        instruction.Elements = wanted;
        instruction.D2 = _statement.Has("trans") ? 1 : 0;
        foreach (PtxOperand target in targets)
            _vectors.Add(Destination(target, PtxType.B32));
        DecodeAddress(ref instruction, Operand(1), 16);
        instruction.Handler = &MemoryHandlers.LoadMatrix;
    }

    private void DecodeMma(ref Instruction instruction)
    {
        Allow("sync", "aligned", "m16n8k16", "m16n8k8", "row", "col");
        string types = string.Join('.', _statement.Parts[^4..]);
        if (types is not ("f32.bf16.bf16.f32" or "f32.f16.f16.f32"))
            throw Error("is not supported: only FP32 accumulators and BF16 or F16 factors");
        int depth = _statement.Has("m16n8k8") ? 8 : 16;
        instruction.Vector = _vectors.Count;
        instruction.Elements = depth;
        instruction.Immediate = types == "f32.f16.f16.f32" ? 1 : 0;
        int[] lengths = [4, depth / 4, depth / 8, 4];
        for (int operand = 0; operand < 4; operand++)
        {
            PtxOperand[] parts = Operand(operand).Parts;
            if (parts.Length != lengths[operand])
                throw Error($"has {parts.Length} registers in operand {operand} where {lengths[operand]} should be");
            foreach (PtxOperand part in parts)
                _vectors.Add(operand == 0 ? Destination(part, PtxType.F32) : Source(part, operand == 3 ? PtxType.F32 : PtxType.B32));
        }

        if (depth == 16 && instruction.Immediate == 0)
            instruction.Handler = &MatrixHandlers.Bf16K16;
        else
            instruction.Handler = &MatrixHandlers.Any;
    }

    private void DecodeWarp(ref Instruction instruction)
    {
        switch (_statement.Parts[0])
        {
            case "shfl":
                Allow("sync", "up", "down", "bfly", "idx");
                instruction.Elements = _statement.Has("up") ? WarpHandlers.ShuffleUp
                    : _statement.Has("down") ? WarpHandlers.ShuffleDown
                    : _statement.Has("bfly") ? WarpHandlers.ShuffleButterfly : WarpHandlers.ShuffleIndex;
                instruction.D = Destination(0, PtxType.B32);
                if (Operand(0).Kind == PtxOperandKind.Pair)
                    instruction.D2 = PredicateDestination(Operand(0).Parts[1]);
                instruction.A = Source(1, PtxType.B32);
                instruction.B = Source(2, PtxType.U32);
                instruction.C = Source(3, PtxType.U32);
                instruction.Vector = Source(4, PtxType.U32);
                instruction.Handler = &WarpHandlers.Shuffle;
                break;
            case "vote":
                Allow("sync", "all", "any", "uni", "ballot");
                bool ballot = _statement.Has("ballot");
                instruction.Elements = ballot ? WarpHandlers.VoteBallot
                    : _statement.Has("all") ? WarpHandlers.VoteAll
                    : _statement.Has("any") ? WarpHandlers.VoteAny : WarpHandlers.VoteUniform;
                instruction.D = ballot ? Destination(0, PtxType.B32) : PredicateDestination(Operand(0));
                instruction.A = PredicateSource(Operand(1));
                instruction.Immediate = Operand(1).Negated ? 1 : 0;
                instruction.B = Source(2, PtxType.U32);
                instruction.Handler = &WarpHandlers.Vote;
                break;
            case "activemask":
                instruction.D = Destination(0, PtxType.B32);
                instruction.Handler = &WarpHandlers.ActiveMask;
                break;
            case "match":
                Allow("any", "sync");
                if (LastType.Bytes() != 4)
                    throw Error("is not supported");
                instruction.D = Destination(0, PtxType.B32);
                instruction.A = Source(1, PtxType.B32);
                instruction.B = Source(2, PtxType.U32);
                instruction.Handler = &WarpHandlers.MatchAny;
                break;
            default:
                Allow("sync", "add", "min", "max", "and", "or", "xor");
                instruction.D = Destination(0, PtxType.B32);
                instruction.A = Source(1, PtxType.B32);
                instruction.B = Source(2, PtxType.U32);
                instruction.Elements = (int)AtomicOf(_statement.Parts[1..]);
                instruction.Immediate = LastType.IsSigned() ? 1 : 0;
                instruction.Handler = &WarpHandlers.Reduce;
                break;
        }
    }
}
