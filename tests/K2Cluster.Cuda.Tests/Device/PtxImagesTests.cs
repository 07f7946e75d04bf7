using K2Cluster.Cuda.Device;

namespace K2Cluster.Cuda.Tests.Device;

public sealed class PtxImagesTests
{
    [Theory]
    [InlineData("8.0", "sm_80")]
    [InlineData("8.6", "sm_80")]
    [InlineData("8.9", "sm_80")]
    [InlineData("9.0", "sm_90")]
    [InlineData("10.0", "sm_90")]
    [InlineData("12.0", "sm_90")]
    public void A_card_gets_the_best_target_that_it_can_take(string capability, string target)
    {
        PtxImages images = PtxImages.For(Version.Parse(capability));
        Assert.Equal(target, images.Target);
        foreach (string name in new[] { "k2_route", "k2_int4", "k2_bf16", "k2_shuffle" })
            Assert.Contains($".target {target}", System.Text.Encoding.ASCII.GetString(images.Read(name)), StringComparison.Ordinal);
    }

    [Fact]
    public void An_older_card_gets_none() => Assert.Throws<NotSupportedException>(() => PtxImages.For(new Version(7, 5)));

    [Fact]
    public void The_hash_tells_images_apart()
    {
        Assert.Matches("^[0-9a-f]{8}$", PtxImages.Hash([1, 2, 3]));
        Assert.NotEqual(PtxImages.Hash([1, 2, 3]), PtxImages.Hash([1, 2, 4]));
    }
}
