namespace K2Cluster.PtxEmulator.Machine;

/// <summary>What a launch has executed so far, over all its workers.</summary>
internal sealed class LaunchBudget(long limit)
{
    private long _instructions;
    private long _lanes;

    public LaunchStatistics Statistics => new(Interlocked.Read(ref _instructions), Interlocked.Read(ref _lanes));

    public void Take(Warp warp, long instructions, long lanes)
    {
        Interlocked.Add(ref _lanes, lanes);
        if (Interlocked.Add(ref _instructions, instructions) <= limit)
            return;
        Parsing.PtxStatement statement = warp.Kernel.Kernel.Statements[Math.Min(warp.At, warp.Kernel.Kernel.Statements.Count - 1)];
        throw new PtxFaultException(
            PtxFaultKind.Endless, $"more than {limit} instructions of warps", warp.Kernel.Kernel.Name, statement.Line, statement.Opcode, warp.Block.Index, warp.Number);
    }
}
