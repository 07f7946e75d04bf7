using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>What a statement reads and writes, by register number.</summary>
/// <param name="IsCopy">A move of one register, which may pass on a value that nobody wrote: compilers do, for values that are not used.</param>
internal sealed record RegisterUse(int[] Reads, int[] Writes, bool IsCopy);

/// <summary>
/// Finds the registers that some way through the kernel may read before it wrote them. Only these are checked when the kernel
/// runs; for all others the text itself proves it.
/// </summary>
internal static class Initialisation
{
    public static HashSet<int> MaybeUnwritten(PtxKernel kernel, ControlFlow flow, IReadOnlyList<RegisterUse> uses)
    {
        int words = (kernel.Registers.Count + 63) / 64;
        ulong[][] atStart = [.. Enumerable.Range(0, flow.Blocks).Select(_ => new ulong[words])];
        foreach (ulong[] set in atStart[1..])
            Array.Fill(set, ulong.MaxValue);
        bool changed = true;
        while (changed)
        {
            changed = false;
            for (int block = 0; block < flow.Blocks; block++)
            {
                ulong[] written = (ulong[])atStart[block].Clone();
                for (int i = flow.Start(block); i < Math.Min(flow.End(block), kernel.Statements.Count); i++)
                    Apply(kernel.Statements[i], uses[i], written);
                foreach (int next in flow.Next(block))
                {
                    for (int word = 0; word < words; word++)
                    {
                        ulong both = atStart[next][word] & written[word];
                        changed |= both != atStart[next][word];
                        atStart[next][word] = both;
                    }
                }
            }
        }

        HashSet<int> found = [];
        List<(int From, int To)> copies = [];
        for (int block = 0; block < flow.Blocks; block++)
        {
            ulong[] written = (ulong[])atStart[block].Clone();
            for (int i = flow.Start(block); i < Math.Min(flow.End(block), kernel.Statements.Count); i++)
            {
                RegisterUse use = uses[i];
                if (kernel.Statements[i].Guard is { } guard && !Has(written, (int)guard.Value))
                    found.Add((int)guard.Value);
                foreach (int register in use.Reads.Where(register => !Has(written, register)))
                {
                    if (use.IsCopy)
                        copies.Add((register, use.Writes[0]));
                    else
                        found.Add(register);
                }

                Apply(kernel.Statements[i], use, written);
            }
        }

        // What a tracked register was copied from must be tracked as well.
        while (copies.RemoveAll(copy => found.Contains(copy.To) && (found.Add(copy.From) || true)) > 0)
        {
        }

        return found;
    }

    private static void Apply(PtxStatement statement, RegisterUse use, ulong[] written)
    {
        if (statement.Guard is not null)
            return;
        bool known = !use.IsCopy || use.Reads.All(register => Has(written, register));
        foreach (int register in use.Writes)
        {
            if (known)
                written[register >> 6] |= 1ul << register;
            else
                written[register >> 6] &= ~(1ul << register);
        }
    }

    private static bool Has(ulong[] set, int register) => (set[register >> 6] >> register & 1) != 0;
}
