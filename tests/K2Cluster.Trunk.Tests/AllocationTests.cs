using K2Cluster.Checkpoint;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

public sealed class AllocationTests
{
    [Theory]
    [InlineData(1, int.MaxValue)]
    [InlineData(2, 2)]
    public void A_step_allocates_nothing_once_it_is_warm(int threads, int microBatchRows)
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
        using TrunkHarness harness = new(model, threads: threads, microBatchRows: microBatchRows);
        TestSequence first = new();
        TestSequence second = new();
        harness.Prefill(first, BitIdentityTests.Tokens(1, 40), 40);
        harness.Prefill(second, BitIdentityTests.Tokens(2, 70), 70);

        // The same step again and again: it writes the same bits.
        harness.Fill((first, [1, 2, 3]), (second, [4]));
        for (int i = 0; i < 3; i++)
            harness.Trunk.Run(harness.Batch, harness.AllLayers, harness.Result);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10; i++)
            harness.Trunk.Run(harness.Batch, harness.AllLayers, harness.Result);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
