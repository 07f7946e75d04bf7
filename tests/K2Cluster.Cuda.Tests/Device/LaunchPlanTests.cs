using K2Cluster.Cuda.Device;

namespace K2Cluster.Cuda.Tests.Device;

public sealed class LaunchPlanTests
{
    /// <summary>Shared memory of a block: H100 and H200, A100, RTX 3090 and L40S.</summary>
    private const int Hopper = 227 << 10;
    private const int Ampere = 163 << 10;
    private const int Consumer = 99 << 10;

    /// <summary>What kernels/README.md recommends for Kimi K2.</summary>
    [Theory]
    [InlineData(Hopper, 7168, 8, 8, 512, 5)]
    [InlineData(Hopper, 2048, 8, 8, 512, 8)]
    [InlineData(Ampere, 7168, 8, 8, 256, 4)]
    [InlineData(Ampere, 2048, 8, 8, 512, 6)]
    [InlineData(Consumer, 7168, 8, 4, 256, 3)]
    [InlineData(Consumer, 2048, 8, 8, 256, 6)]
    public void The_kernels_for_few_rows_fill_the_shared_memory_of_each_card(int shared, int inputs, int mostRows, int rows, int threads, int stages)
    {
        LaunchPlan plan = LaunchPlan.Small(isInt4: true, inputs, mostRows, shared, mostThreads: 1024);
        Assert.Equal((rows, threads, stages), (plan.RowsPerBlock, plan.Threads, plan.Stages));
        Assert.Equal((rows * (256 * inputs / 128 + 64)) + 128 + (4096 * (threads / 128)) + (1152 * stages * (threads / 32)), plan.SharedBytes);
        Assert.InRange(plan.SharedBytes, 1, shared);
    }

    [Theory]
    [InlineData(Hopper, true, 4)]
    [InlineData(Ampere, true, 4)]
    [InlineData(Consumer, true, 2)]
    [InlineData(Hopper, false, 4)]
    [InlineData(Consumer, false, 2)]
    public void The_kernels_for_many_rows_take_64_and_as_many_stages_as_fit(int shared, bool isInt4, int stages)
    {
        LaunchPlan plan = LaunchPlan.Large(isInt4, shared, mostThreads: 1024);
        Assert.Equal((64, 256, stages), (plan.RowsPerBlock, plan.Threads, plan.Stages));
        Assert.InRange(plan.SharedBytes, 1, shared);
    }

    [Theory]
    [InlineData(384, 512, 26_624)]
    [InlineData(16, 512, 1600)]
    [InlineData(4096, 416, 229_888)]
    public void The_sorting_takes_as_many_threads_as_its_counts_leave(int experts, int threads, int shared)
    {
        LaunchPlan plan = LaunchPlan.Route(experts, Hopper, mostThreads: 1024);
        Assert.Equal((threads, shared), (plan.Threads, plan.SharedBytes));
    }

    [Fact]
    public void A_card_with_fewer_threads_gets_fewer()
    {
        Assert.Equal(128, LaunchPlan.Small(isInt4: true, 128, 8, Hopper, mostThreads: 128).Threads);
        Assert.Equal(64, LaunchPlan.Large(isInt4: true, Hopper, mostThreads: 64).Threads);
        Assert.Equal(32, LaunchPlan.Route(16, Hopper, mostThreads: 32).Threads);
    }

    [Fact]
    public void What_fits_in_no_way_is_said()
    {
        Assert.Throws<NotSupportedException>(() => LaunchPlan.Small(isInt4: true, 1 << 20, 8, Consumer, 1024));
        Assert.Throws<NotSupportedException>(() => LaunchPlan.Large(isInt4: true, 2048, 1024));
        Assert.Throws<NotSupportedException>(() => LaunchPlan.Route(1 << 20, Consumer, 1024));
    }
}
