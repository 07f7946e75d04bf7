namespace K2Cluster.PtxEmulator.Tests.Kernels;

internal static class Cases
{
    public static ExpertCase Of(string target, bool bf16, bool large) => new()
    {
        Target = target,
        Bf16 = bf16,
        Large = large,
        RowsPerBlock = large ? 16 : 8,
        Threads = 128,
    };
}
