using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>Makes the way to a shard.</summary>
internal interface IChannelFactory
{
    IExpertChannel Create(ShardId shard);
}

/// <summary>In process where the shard is, by grain call elsewhere.</summary>
internal sealed class ChannelFactory(ILocalShards local, IGrainFactory grains) : IChannelFactory
{
    public IExpertChannel Create(ShardId shard) =>
        local.TryGet(shard, out ILocalShard? here) ? new InProcessChannel(shard, here) : new GrainCallChannel(shard, grains.GetGrain<IExpertShardGrain>(shard.ToString()));
}
