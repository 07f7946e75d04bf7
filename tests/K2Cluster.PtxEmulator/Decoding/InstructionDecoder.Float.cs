using K2Cluster.PtxEmulator.Arithmetic;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>FP32, FP64, BF16 and F16 arithmetic.</summary>
internal sealed unsafe partial class InstructionDecoder
{
    private bool Flush => _statement.Has("ftz");

    private void DecodeFloat(ref Instruction instruction, PtxType type)
    {
        string operation = _statement.Parts[0];
        switch (operation)
        {
            case "add" or "sub" or "mul" or "div" or "min" or "max":
                Operands(ref instruction, type, type, type);
                break;
            case "fma" or "mad":
                Operands(ref instruction, type, type, type, type);
                break;
            default:
                Operands(ref instruction, type, type);
                break;
        }

        instruction.Handler = type switch
        {
            PtxType.F32 => Float32(operation),
            PtxType.F64 => Float64(operation),
            PtxType.BF16 or PtxType.BF16x2 => BrainFloat(operation, type == PtxType.BF16x2),
            _ => HalfFloat(operation, type == PtxType.F16x2),
        };
    }

    private delegate*<Warp, Instruction*, void> Float32(string operation)
    {
        char mode = _statement.Has("rz") ? 'z' : _statement.Has("rm") ? 'm' : _statement.Has("rp") ? 'p' : 'n';
        if (mode != 'n')
            return Directed(operation, mode);
        switch (operation)
        {
            case "add":
                Allow("rn", "ftz", "sat");
                return Float32Binary<Add<float>>();
            case "sub":
                Allow("rn", "ftz", "sat");
                return Float32Binary<Subtract<float>>();
            case "mul":
                Allow("rn", "ftz", "sat");
                return Float32Binary<Multiply<float>>();
            case "div":
                Allow("rn", "approx", "full", "ftz");
                return Float32Binary<Divide<float>>();
            case "min":
                Allow("ftz");
                return Float32Binary<SmallerNumber<float>>();
            case "max":
                Allow("ftz");
                return Float32Binary<LargerNumber<float>>();
            case "fma":
                Allow("rn", "ftz", "sat");
                return (Flush, _statement.Has("sat")) switch
                {
                    (false, false) => &Handlers.Ternary<float, CanonicalTernary<FusedSingle>>,
                    (true, false) => &Handlers.Ternary<float, FlushTernary<CanonicalTernary<FusedSingle>>>,
                    (false, true) => &Handlers.Ternary<float, SaturateTernary<FusedSingle>>,
                    _ => &Handlers.Ternary<float, FlushTernary<SaturateTernary<FusedSingle>>>,
                };
            case "abs":
                Allow("ftz");
                return Flush ? &Handlers.Unary<float, FlushUnary<Absolute<float>>> : &Handlers.Unary<float, Absolute<float>>;
            case "neg":
                Allow("ftz");
                return Flush ? &Handlers.Unary<float, FlushUnary<Negate<float>>> : &Handlers.Unary<float, Negate<float>>;
            case "sqrt":
                Allow("rn", "approx", "ftz");
                return Flush ? &Handlers.Unary<float, FlushUnary<Canonical<SquareRoot<float>>>> : &Handlers.Unary<float, Canonical<SquareRoot<float>>>;
            case "rcp":
                Allow("rn", "approx", "ftz");
                return Flush ? &Handlers.Unary<float, FlushUnary<Canonical<Reciprocal>>> : &Handlers.Unary<float, Canonical<Reciprocal>>;
            default:
                Allow("approx", "ftz");
                return Function(operation);
        }
    }

    private delegate*<Warp, Instruction*, void> Function(string operation) => operation switch
    {
        "ex2" => Float32Function<Exponential2>(),
        "lg2" => Float32Function<Logarithm2>(),
        "rsqrt" => Float32Function<ReciprocalRoot>(),
        "sin" => Float32Function<Sine>(),
        "cos" => Float32Function<Cosine>(),
        "tanh" => Float32Function<HyperbolicTangent>(),
        _ => throw Error("is not supported"),
    };

    private delegate*<Warp, Instruction*, void> Float32Function<TOperation>()
        where TOperation : ILaneUnary<float, float> =>
        Flush ? &Handlers.Lane<float, float, FlushLane<TOperation>> : &Handlers.Lane<float, float, TOperation>;

    private delegate*<Warp, Instruction*, void> Float32Binary<TOperation>()
        where TOperation : IBinary<float> => (Flush, _statement.Has("sat")) switch
        {
            (false, false) => &Handlers.Binary<float, CanonicalBinary<TOperation>>,
            (true, false) => &Handlers.Binary<float, FlushBinary<CanonicalBinary<TOperation>>>,
            (false, true) => &Handlers.Binary<float, SaturateBinary<TOperation>>,
            _ => &Handlers.Binary<float, FlushBinary<SaturateBinary<TOperation>>>,
        };

    private delegate*<Warp, Instruction*, void> Directed(string operation, char mode)
    {
        Allow("rz", "rm", "rp");
        return mode switch
        {
            'z' => Directed<TowardsZero>(operation),
            'm' => Directed<Downwards>(operation),
            _ => Directed<Upwards>(operation),
        };
    }

    private delegate*<Warp, Instruction*, void> Directed<TMode>(string operation)
        where TMode : IRoundingMode => operation switch
        {
            "add" => &Handlers.LanePair<float, DirectedAdd<TMode>>,
            "sub" => &Handlers.LanePair<float, DirectedSubtract<TMode>>,
            "mul" => &Handlers.LanePair<float, DirectedMultiply<TMode>>,
            "fma" => &Handlers.LaneTriple<float, DirectedFused<TMode>>,
            _ => throw Error("is not supported"),
        };

    private delegate*<Warp, Instruction*, void> Float64(string operation)
    {
        Allow("rn");
        return operation switch
        {
            "add" => &Handlers.Binary<double, Add<double>>,
            "sub" => &Handlers.Binary<double, Subtract<double>>,
            "mul" => &Handlers.Binary<double, Multiply<double>>,
            "div" => &Handlers.Binary<double, Divide<double>>,
            "min" => &Handlers.Binary<double, SmallerNumber<double>>,
            "max" => &Handlers.Binary<double, LargerNumber<double>>,
            "fma" => &Handlers.Ternary<double, FusedDouble>,
            "abs" => &Handlers.Unary<double, Absolute<double>>,
            "neg" => &Handlers.Unary<double, Negate<double>>,
            "sqrt" => &Handlers.Unary<double, SquareRoot<double>>,
            _ => throw Error("is not supported"),
        };
    }

    private delegate*<Warp, Instruction*, void> BrainFloat(string operation, bool pair)
    {
        Allow("rn");
        return (operation, pair) switch
        {
            ("fma", false) => &Handlers.LaneTriple<uint, FusedBf16>,
            ("fma", true) => &Handlers.Ternary<uint, FusedBf16x2>,
            ("add", false) => &Handlers.LanePair<uint, AddBf16>,
            ("add", true) => &Handlers.LanePair<uint, Halves<AddBf16>>,
            ("sub", false) => &Handlers.LanePair<uint, SubtractBf16>,
            ("sub", true) => &Handlers.LanePair<uint, Halves<SubtractBf16>>,
            ("mul", false) => &Handlers.LanePair<uint, MultiplyBf16>,
            ("mul", true) => &Handlers.LanePair<uint, Halves<MultiplyBf16>>,
            ("min", false) => &Handlers.LanePair<uint, SmallerBf16>,
            ("min", true) => &Handlers.LanePair<uint, Halves<SmallerBf16>>,
            ("max", false) => &Handlers.LanePair<uint, LargerBf16>,
            ("max", true) => &Handlers.LanePair<uint, Halves<LargerBf16>>,
            _ => throw Error("is not supported"),
        };
    }

    private delegate*<Warp, Instruction*, void> HalfFloat(string operation, bool pair)
    {
        Allow("rn");
        return (operation, pair) switch
        {
            ("fma", false) => &Handlers.LaneTriple<uint, FusedHalf>,
            ("fma", true) => &Handlers.LaneTriple<uint, FusedHalf2>,
            ("add", false) => &Handlers.LanePair<uint, AddHalf>,
            ("add", true) => &Handlers.LanePair<uint, Halves<AddHalf>>,
            ("sub", false) => &Handlers.LanePair<uint, SubtractHalf>,
            ("sub", true) => &Handlers.LanePair<uint, Halves<SubtractHalf>>,
            ("mul", false) => &Handlers.LanePair<uint, MultiplyHalf>,
            ("mul", true) => &Handlers.LanePair<uint, Halves<MultiplyHalf>>,
            _ => throw Error("is not supported"),
        };
    }
}
