namespace K2Cluster.PtxEmulator.Parsing;

/// <summary>One <c>.entry</c>, parsed.</summary>
public sealed class PtxKernel
{
    internal PtxKernel(string name, PtxModule module, int line)
    {
        Name = name;
        Module = module;
        Line = line;
    }

    public string Name { get; }

    /// <summary>Line of the source where it begins.</summary>
    public int Line { get; }

    /// <summary>Bytes of each parameter, in order.</summary>
    public IReadOnlyList<int> ParameterBytes => [.. Parameters.Select(parameter => parameter.Bytes)];

    /// <summary>The most threads a block may have: the product of <c>.maxntid</c>, else 1024.</summary>
    public int MaxThreads { get; internal set; } = 1024;

    /// <summary>The exact block that <c>.reqntid</c> asks for, or null.</summary>
    public int? RequiredThreads { get; internal set; }

    /// <summary>The lines and opcodes of its instructions, in order: what a mutation test edits.</summary>
    public IReadOnlyList<(int Line, string Opcode)> Instructions => [.. Statements.Select(statement => (statement.Line, statement.Opcode))];

    internal PtxModule Module { get; }

    internal List<PtxParameter> Parameters { get; } = [];

    internal int ParameterBlockBytes { get; set; }

    internal List<PtxRegister> Registers { get; } = [];

    internal List<PtxVariable> Variables { get; } = [];

    internal List<PtxStatement> Statements { get; } = [];

    /// <summary>Label → index of the statement that follows it.</summary>
    internal Dictionary<string, int> Labels { get; } = new(StringComparer.Ordinal);

    public override string ToString() => Name;
}
