namespace K2Cluster.PtxEmulator.Tests.Kernels;

/// <summary>
/// Every multiple of 32 up to 288 as the inputs and as the outputs of both products: each tail of a block of 128 inputs, with and without
/// whole blocks before it, and each count of row tiles that a team or a warp has left.
/// </summary>
public sealed class ShapeTests
{
    private const int Step = 32;
    private const int Sizes = 9;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_multiple_of_32_agrees_with_FP64_in_both_kernels(bool bf16)
    {
        for (int i = 0; i < Sizes; i++)
        {
            // Both run through all sizes.
            int hidden = Step * (i + 1);
            int intermediate = Step * ((((2 * i) + 1) % Sizes) + 1);
            ExpertRun[] runs =
            [
                .. new[] { false, true }.Select(large => ExpertRun.Run(Cases.Of("sm_80", bf16, large) with
                {
                    Hidden = hidden,
                    Intermediate = intermediate,
                    Experts = 1,
                    Pairs = [(0, 0), (1, 0), (2, 0)],
                    Seed = i,
                })),
            ];
            double error = runs[0].RelativeError();
            Assert.True(error <= 3e-3, $"H {hidden}, I {intermediate}: {error}");
            Assert.True(runs[0].Output.AsSpan().SequenceEqual(runs[1].Output), $"H {hidden}, I {intermediate}: small and large differ");
        }
    }
}
