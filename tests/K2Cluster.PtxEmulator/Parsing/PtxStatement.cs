namespace K2Cluster.PtxEmulator.Parsing;

/// <summary>One instruction as written.</summary>
/// <param name="Line">Line of the source, from 1.</param>
/// <param name="Opcode">With its modifiers, as in "ld.global.nc.v4.u32".</param>
/// <param name="Guard">The predicate register that guards it, or null.</param>
/// <param name="GuardNegated">"@!p".</param>
/// <param name="Operands">In order.</param>
internal sealed record PtxStatement(int Line, string Opcode, PtxOperand? Guard, bool GuardNegated, PtxOperand[] Operands)
{
    /// <summary>The opcode cut at its dots.</summary>
    public string[] Parts { get; } = Opcode.Split('.');

    public bool Has(string modifier) => Array.IndexOf(Parts, modifier, 1) > 0;
}
