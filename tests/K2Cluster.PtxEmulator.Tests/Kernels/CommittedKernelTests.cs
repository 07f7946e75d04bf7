namespace K2Cluster.PtxEmulator.Tests.Kernels;

/// <summary>The committed PTX, whole: every kernel of a layer, every check on.</summary>
public sealed class CommittedKernelTests
{
    [Theory]
    [InlineData("sm_80", false, false)]
    [InlineData("sm_80", false, true)]
    [InlineData("sm_80", true, false)]
    [InlineData("sm_80", true, true)]
    [InlineData("sm_90", false, false)]
    [InlineData("sm_90", true, true)]
    public void A_layer_agrees_with_FP64_and_breaks_no_rule(string target, bool bf16, bool large)
    {
        ExpertRun run = ExpertRun.Run(Cases.Of(target, bf16, large));

        Assert.InRange(run.RelativeError(), 0, 3e-3);
        Assert.Equal(new byte[] { 1, 1, 1, 1, 2, 1 }, run.Status);
        Assert.All(run.Output[(4 * 160)..(5 * 160)], word => Assert.Equal(0xFFFF, word));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_row_has_the_same_bits_in_the_small_kernel_and_the_large(bool bf16) =>
        Assert.Equal(ExpertRun.Run(Cases.Of("sm_80", bf16, large: false)).Output, ExpertRun.Run(Cases.Of("sm_80", bf16, large: true)).Output);
}
