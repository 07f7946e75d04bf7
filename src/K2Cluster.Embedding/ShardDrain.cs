using K2Cluster.Grains;
using K2Cluster.Hosting;

namespace K2Cluster.Embedding;

/// <summary>A silo that was asked to stop gives its experts to the others first.</summary>
internal sealed class ShardDrain(ShardDeparture shards) : IDrain
{
    public Task DrainAsync(CancellationToken timeIsUp) => shards.LeaveAsync(timeIsUp);
}
