using System.Buffers.Binary;
using System.Globalization;

namespace K2Cluster.PtxEmulator.Parsing;

/// <summary>A parser by recursive descent over the part of PTX that compilers emit for kernels without calls.</summary>
internal sealed class PtxParser
{
    private readonly string _source;
    private readonly List<PtxToken> _tokens;
    private readonly PtxModule _module;

    /// <summary>Names of registers, inner scopes last: inline assembly declares its own in braces.</summary>
    private readonly List<Dictionary<string, int>> _scopes = [];
    private int _at;

    public PtxParser(string text, string source)
    {
        _source = source;
        _tokens = PtxLexer.Read(text, source);
        _module = new PtxModule(source);
    }

    private PtxToken Now => _tokens[_at];

    public PtxModule Parse()
    {
        while (Now.Kind != PtxTokenKind.End)
            ParseTopLevel();
        if (_module.Version.Length == 0)
            throw Error(1, "no .version: this is not PTX");
        return _module;
    }

    private void ParseTopLevel()
    {
        PtxToken token = Take();
        switch (token.Value)
        {
            case ".version":
                _module.Version = Take().Value;
                break;
            case ".target":
                _module.Target = Take().Value;
                while (TakeIf(","))
                    Take();
                break;
            case ".address_size":
                if (Take().Value != "64")
                    throw Error(token.Line, "only 64-bit addresses are supported");
                break;
            case ".visible" or ".weak" or ".extern" or ".common":
                break;
            case ".entry":
                ParseEntry();
                break;
            case ".shared" or ".global" or ".const":
                _module.Variables.Add(ParseVariable(token));
                break;
            case ".func":
                throw Error(token.Line, ".func is not supported: kernels must have their calls inlined");
            case ";":
                break;
            default:
                throw Error(token.Line, $"'{token.Value}' is not supported at the top of a module");
        }
    }

    private void ParseEntry()
    {
        PtxToken name = Take();
        PtxKernel kernel = new(name.Value, _module, name.Line);
        if (!_module.Add(kernel))
            throw Error(name.Line, $"there are two entries {name.Value}");
        if (TakeIf("("))
        {
            while (!TakeIf(")"))
            {
                ParseParameter(kernel);
                TakeIf(",");
            }
        }

        while (!Now.Is("{"))
            ParsePerformanceDirective(kernel);
        _scopes.Clear();
        ParseBody(kernel);
        foreach (PtxStatement statement in kernel.Statements)
        {
            if (statement.Parts[0] == "bra" && !kernel.Labels.ContainsKey(statement.Operands[0].Name))
                throw Error(statement.Line, $"{statement.Opcode}: no label {statement.Operands[0].Name}");
        }
    }

    private void ParseParameter(PtxKernel kernel)
    {
        Expect(".param");
        int alignment = 0;
        PtxType type = PtxType.None;
        while (Now.Kind == PtxTokenKind.Directive)
        {
            PtxToken token = Take();
            if (token.Is(".align"))
                alignment = (int)TakeInteger();
            else if (!token.Is(".ptr") && PtxTypes.Parse(token.Value[1..]) is not PtxType.None and PtxType known)
                type = known;
        }

        PtxToken name = Take();
        if (type.Bytes() == 0)
            throw Error(name.Line, $"parameter {name.Value} has no supported type");
        int count = 1;
        while (TakeIf("["))
        {
            count *= (int)TakeInteger();
            Expect("]");
        }

        int bytes = count * type.Bytes();
        int start = RoundUp(kernel.ParameterBlockBytes, Math.Max(alignment, type.Bytes()));
        kernel.Parameters.Add(new PtxParameter(name.Value, type, start, bytes));
        kernel.ParameterBlockBytes = start + bytes;
    }

    private void ParsePerformanceDirective(PtxKernel kernel)
    {
        PtxToken token = Take();
        int product = 1;
        while (Now.Kind == PtxTokenKind.Number)
        {
            product *= (int)TakeInteger();
            TakeIf(",");
        }

        switch (token.Value)
        {
            case ".maxntid":
                kernel.MaxThreads = product;
                break;
            case ".reqntid":
                kernel.RequiredThreads = product;
                kernel.MaxThreads = product;
                break;
            case ".minnctapersm" or ".maxnreg" or ".maxnctapersm":
                break;
            default:
                throw Error(token.Line, $"'{token.Value}' is not supported on an entry");
        }
    }

    private void ParseBody(PtxKernel kernel)
    {
        Expect("{");
        _scopes.Add(new Dictionary<string, int>(StringComparer.Ordinal));
        while (!TakeIf("}"))
        {
            if (Now.Is("{"))
                ParseBody(kernel);
            else if (Now.Kind == PtxTokenKind.Directive)
                ParseBodyDirective(kernel);
            else if (Now.Kind == PtxTokenKind.Word && _tokens[_at + 1].Is(":"))
                ParseLabel(kernel);
            else if (!TakeIf(";"))
                ParseStatement(kernel);
        }

        _scopes.RemoveAt(_scopes.Count - 1);
    }

    private void ParseLabel(PtxKernel kernel)
    {
        PtxToken label = Take();
        Take();
        if (!kernel.Labels.TryAdd(label.Value, kernel.Statements.Count))
            throw Error(label.Line, $"there are two labels {label.Value}");
    }

    private void ParseBodyDirective(PtxKernel kernel)
    {
        PtxToken token = Take();
        switch (token.Value)
        {
            case ".reg":
                ParseRegisters(kernel);
                break;
            case ".shared" or ".local":
                kernel.Variables.Add(ParseVariable(token));
                break;
            case ".pragma":
                while (!Take().Is(";"))
                {
                }

                break;
            default:
                throw Error(token.Line, $"'{token.Value}' is not supported in a kernel");
        }
    }

    private void ParseRegisters(PtxKernel kernel)
    {
        PtxToken typeName = Take();
        PtxType type = PtxTypes.Parse(typeName.Value[1..]);
        if (type == PtxType.None || type.Bytes() == 1)
            throw Error(typeName.Line, $"registers of type {typeName.Value} are not supported");
        do
        {
            PtxToken name = Take();
            if (TakeIf("<"))
            {
                long count = TakeInteger();
                Expect(">");
                for (long i = 0; i < count; i++)
                    Declare(kernel, name.Value + i.ToString(CultureInfo.InvariantCulture), type);
            }
            else
            {
                Declare(kernel, name.Value, type);
            }
        }
        while (TakeIf(","));
        Expect(";");
    }

    private void Declare(PtxKernel kernel, string name, PtxType type)
    {
        _scopes[^1][name] = kernel.Registers.Count;
        kernel.Registers.Add(new PtxRegister(name, type));
    }

    private PtxVariable ParseVariable(PtxToken space)
    {
        int alignment = 1;
        PtxType type = PtxType.None;
        int lanes = 1;
        while (Now.Kind == PtxTokenKind.Directive)
        {
            PtxToken token = Take();
            if (token.Is(".align"))
                alignment = (int)TakeInteger();
            else if (token.Value is ".v2" or ".v4")
                lanes = token.Value[2] - '0';
            else if (PtxTypes.Parse(token.Value[1..]) is not PtxType.None and PtxType known)
                type = known;
            else
                throw Error(token.Line, $"'{token.Value}' is not supported on a variable");
        }

        PtxToken name = Take();
        if (type.Bytes() == 0)
            throw Error(name.Line, $"variable {name.Value} has no supported type");
        int count = lanes;
        while (TakeIf("["))
        {
            count *= Now.Is("]") ? 0 : (int)TakeInteger();
            Expect("]");
        }

        int bytes = count * type.Bytes();
        byte[]? initial = TakeIf("=") ? ParseInitial(name, type, bytes) : null;
        Expect(";");
        PtxSpace kind = space.Value switch
        {
            ".shared" => PtxSpace.Shared,
            ".global" => PtxSpace.Global,
            ".const" => PtxSpace.Constant,
            _ => PtxSpace.Local,
        };
        return new PtxVariable(name.Value, kind, Math.Max(alignment, type.Bytes()), bytes, initial);
    }

    private byte[] ParseInitial(PtxToken name, PtxType type, int bytes)
    {
        byte[] initial = new byte[bytes];
        int at = 0;
        int size = type.Bytes();
        bool braces = TakeIf("{");
        Span<byte> eight = stackalloc byte[8];
        do
        {
            if (braces && Now.Is("}"))
                break;
            PtxOperand value = ParseOperand();
            if (value.Kind is not (PtxOperandKind.Integer or PtxOperandKind.Float32 or PtxOperandKind.Float64))
                throw Error(name.Line, $"variable {name.Value}: only numbers are supported as initial values");
            if (at + size > bytes)
                throw Error(name.Line, $"variable {name.Value} has more initial values than elements");
            BinaryPrimitives.WriteInt64LittleEndian(eight, value.Value);
            eight[..size].CopyTo(initial.AsSpan(at));
            at += size;
        }
        while (TakeIf(","));
        if (braces)
            Expect("}");
        return initial;
    }

    private void ParseStatement(PtxKernel kernel)
    {
        PtxOperand? guard = null;
        bool negated = false;
        if (TakeIf("@"))
        {
            negated = TakeIf("!");
            guard = ParseOperand();
            if (guard.Kind != PtxOperandKind.Register || kernel.Registers[(int)guard.Value].Type != PtxType.Pred)
                throw Error(Now.Line, $"the guard {guard.Name} is not a predicate");
        }

        PtxToken opcode = Take();
        if (opcode.Kind != PtxTokenKind.Word)
            throw Error(opcode.Line, $"'{opcode.Value}' where an opcode should be");
        List<PtxOperand> operands = [];
        while (!TakeIf(";"))
        {
            operands.Add(ParseOperand(opcode.Value.StartsWith("bra", StringComparison.Ordinal)));
            if (!Now.Is(";"))
                Expect(",");
        }

        kernel.Statements.Add(new PtxStatement(opcode.Line, opcode.Value, guard, negated, [.. operands]));
    }

    private PtxOperand ParseOperand(bool label = false)
    {
        PtxToken token = Take();
        if (token.Is("["))
            return ParseAddress(token);
        if (token.Is("{"))
        {
            List<PtxOperand> elements = [];
            do
                elements.Add(ParseOperand());
            while (TakeIf(","));
            Expect("}");
            return new PtxOperand(PtxOperandKind.Vector, "{…}", Elements: [.. elements]);
        }

        if (token.Is("!"))
            return ParseOperand() with { Negated = true };
        if (token.Is("-"))
        {
            PtxOperand number = ParseOperand();
            return number.Kind == PtxOperandKind.Integer
                ? number with { Name = "-" + number.Name, Value = unchecked(-number.Value) }
                : throw Error(token.Line, $"'-' before {number.Name}");
        }

        if (token.Kind == PtxTokenKind.Number)
            return ParseNumber(token);
        if (token.Kind != PtxTokenKind.Word)
            throw Error(token.Line, $"'{token.Value}' where an operand should be");
        PtxOperand operand = label ? new PtxOperand(PtxOperandKind.Symbol, token.Value) : Named(token);
        if (operand.Kind == PtxOperandKind.Symbol && !label)
            operand = operand with { Value = ParseOffset() };
        if (operand.Kind is PtxOperandKind.Register or PtxOperandKind.Sink && TakeIf("|"))
            return new PtxOperand(PtxOperandKind.Pair, operand.Name, Elements: [operand, ParseOperand()]);
        return operand;
    }

    private PtxOperand ParseAddress(PtxToken open)
    {
        PtxToken token = Take();
        PtxOperand target = token.Kind switch
        {
            PtxTokenKind.Number => ParseNumber(token),
            PtxTokenKind.Word => Named(token),
            _ => throw Error(open.Line, $"'{token.Value}' where an address should be"),
        };
        long offset = ParseOffset();
        Expect("]");
        return new PtxOperand(PtxOperandKind.Address, $"[{token.Value}+{offset}]", offset, Elements: [target]);
    }

    private long ParseOffset()
    {
        if (TakeIf("+"))
            return TakeIf("-") ? -TakeInteger() : TakeInteger();
        return TakeIf("-") ? -TakeInteger() : 0;
    }

    private PtxOperand Named(PtxToken token)
    {
        if (token.Value == "_")
            return new PtxOperand(PtxOperandKind.Sink, "_");
        for (int i = _scopes.Count - 1; i >= 0; i--)
        {
            if (_scopes[i].TryGetValue(token.Value, out int number))
                return new PtxOperand(PtxOperandKind.Register, token.Value, number);
        }

        if (token.Value == "WARP_SZ")
            return new PtxOperand(PtxOperandKind.Integer, token.Value, 32);
        return new PtxOperand(token.Value[0] == '%' ? PtxOperandKind.Special : PtxOperandKind.Symbol, token.Value);
    }

    private PtxOperand ParseNumber(PtxToken token)
    {
        string text = token.Value;
        if (text.Length == 10 && text[0] == '0' && text[1] is 'f' or 'F')
            return new PtxOperand(PtxOperandKind.Float32, text, Hexadecimal(token, text[2..]));
        if (text.Length == 18 && text[0] == '0' && text[1] is 'd' or 'D')
            return new PtxOperand(PtxOperandKind.Float64, text, Hexadecimal(token, text[2..]));
        string digits = text.TrimEnd('U');
        if (digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
            return new PtxOperand(PtxOperandKind.Integer, text, Hexadecimal(token, digits[2..]));
        if (ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value))
            return new PtxOperand(PtxOperandKind.Integer, text, unchecked((long)value));
        if (double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out double real))
            return new PtxOperand(PtxOperandKind.Float64, text, BitConverter.DoubleToInt64Bits(real));
        throw Error(token.Line, $"'{text}' is not a number");
    }

    private long Hexadecimal(PtxToken token, string digits) =>
        ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value)
            ? unchecked((long)value)
            : throw Error(token.Line, $"'{token.Value}' is not a number");

    private long TakeInteger()
    {
        PtxToken token = Take();
        if (token.Kind != PtxTokenKind.Number || ParseNumber(token) is not { Kind: PtxOperandKind.Integer } number)
            throw Error(token.Line, $"'{token.Value}' where an integer should be");
        return number.Value;
    }

    private PtxToken Take()
    {
        PtxToken token = Now;
        if (token.Kind == PtxTokenKind.End)
            throw Error(token.Line, "the text ends too early");
        _at++;
        return token;
    }

    private bool TakeIf(string value)
    {
        if (!Now.Is(value))
            return false;
        _at++;
        return true;
    }

    private void Expect(string value)
    {
        PtxToken token = Take();
        if (!token.Is(value))
            throw Error(token.Line, $"'{token.Value}' where '{value}' should be");
    }

    private PtxSyntaxException Error(int line, string message) => new(_source, line, message);

    private static int RoundUp(int value, int multiple) => (value + multiple - 1) / multiple * multiple;
}
