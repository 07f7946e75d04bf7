namespace K2Cluster.PtxEmulator.Parsing;

internal enum PtxTokenKind
{
    /// <summary>A name: register, label, opcode with its modifiers, variable.</summary>
    Word,

    /// <summary>A word that begins with a dot.</summary>
    Directive,
    Number,
    Text,
    Mark,
    End,
}

internal readonly record struct PtxToken(PtxTokenKind Kind, string Value, int Line)
{
    public bool Is(string value) => Kind is PtxTokenKind.Mark or PtxTokenKind.Word or PtxTokenKind.Directive && Value == value;
}
