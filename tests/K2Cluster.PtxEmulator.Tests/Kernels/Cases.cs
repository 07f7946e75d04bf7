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

    /// <summary>Small matrices and many pairs: several blocks of an expert, several phases of a block, several turns of a warp.</summary>
    public static ExpertCase Many(bool bf16, bool large)
    {
        Random random = new(5);
        return Of("sm_80", bf16, large) with
        {
            Hidden = 160,
            Intermediate = 32,
            Pairs = [.. Enumerable.Range(0, 100).Select(i => (i / 4, random.Next(5)))],
            Threads = large ? 128 : 256, // two teams of the small kernel
            Grid = 1,
        };
    }
}
