using K2Cluster.Checkpoint;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

public sealed class AllocationTests
{
    private const int Rounds = 40;

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

        // The runtime makes a few objects once, some long after the start (the lock of an event that is first waited for, say):
        // they may fall into a round or two. What a step allocates shows in every round.
        int rounds = 0;
        for (int round = 0; round < Rounds; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 5; i++)
                harness.Trunk.Run(harness.Batch, harness.AllLayers, harness.Result);
            rounds += GC.GetAllocatedBytesForCurrentThread() > before ? 1 : 0;
        }

        Assert.InRange(rounds, 0, Rounds / 10);
    }
}
