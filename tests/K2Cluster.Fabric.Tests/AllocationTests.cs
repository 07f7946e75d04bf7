namespace K2Cluster.Fabric.Tests;

/// <summary>Alone in the process: what it counts is what all threads allocate, those of both ends among them.</summary>
[Collection(nameof(AllocationTests))]
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
public sealed class AllocationTests
{
    [Fact]
    public async Task A_call_allocates_nothing()
    {
        using Pair pair = await new Pair().ReadyAsync();
        using ClosedLoop loop = new(pair.Peer, 14_336);
        loop.Run(2_000);
        List<long> perCall = [];
        for (int time = 0; time < 5 && perCall.All(bytes => bytes >= 8); time++)
        {
            long before = GC.GetTotalAllocatedBytes(precise: true);
            loop.Run(20_000);
            perCall.Add((GC.GetTotalAllocatedBytes(precise: true) - before) / 20_000);
        }

        Assert.True(perCall[^1] < 8, $"{string.Join(", ", perCall)} bytes a call"); // of both ends and whatever else runs in the process
    }
}
