using K2Cluster.Cuda.Device;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Tests;
using K2Cluster.Kernels.Tests.Devices;
using ManagedCuda;

namespace K2Cluster.Cuda.Tests.Device;

/// <summary>That it passes is shown by every device that opens; here, that it can fail.</summary>
public sealed class SelfCheckTests : FakeDriverTest
{
    private const int Layer = 1;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_expert_that_is_another_or_is_not_found_is_noticed(bool int4)
    {
        using RandomExperts model = new(int4, 64, 32, experts: 2);
        using CudaExpertDevice device = Open(model);
        device.Load(new ExpertKey(Layer, 0), model);
        using CudaExpertWork work = (CudaExpertWork)device.CreateWork(SelfCheck.Rows, SelfCheck.Rows);
        Forward(device, work, Layer, Samples.GaussianBf16(64, 1), (0, 0)); // after it, all that was loaded is there
        using CudaStream stream = new();
        MadeUpExpert expert = new(new ExpertShape(model.Config, int4));

        Assert.StartsWith("an expert's output differs from its value by", SelfCheck.Run(work, stream, expert, new ExpertKey(Layer, 0)), StringComparison.Ordinal);
        Assert.Equal("it does not find an expert that was loaded", SelfCheck.Run(work, stream, expert, new ExpertKey(Layer, 1)));
    }

    [Fact]
    public void Rounding_is_far_below_a_wrong_exponent_and_what_is_no_number_is_no_small_error()
    {
        double[] exact = [.. Samples.Gaussian(1000, 2).Select(value => (double)value)];
        ushort[] rounded = [.. exact.Select(value => Kernels.Numerics.Bf16.FromSingle((float)value))];
        Assert.InRange(SelfCheck.RelativeError(exact, rounded), 1e-4, 2e-3);
        rounded[500] ^= 1 << 7; // the last bit of an exponent
        Assert.InRange(SelfCheck.RelativeError(exact, rounded), 4e-3, 1);
        rounded[500] = 0x7FC0;
        Assert.False(SelfCheck.RelativeError(exact, rounded) <= 1);
    }
}
