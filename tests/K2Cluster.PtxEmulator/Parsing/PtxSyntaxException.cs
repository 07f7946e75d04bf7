namespace K2Cluster.PtxEmulator.Parsing;

/// <summary>PTX text that this emulator cannot read or does not support. The message names the source, the line and the opcode.</summary>
public sealed class PtxSyntaxException(string source, int line, string message) : Exception($"{source}({line}): {message}")
{
    /// <summary>Counted from 1.</summary>
    public int Line { get; } = line;
}
