using System.Net;
using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>Makes the way to a shard. One that is disposable is disposed when no plan leads there any more.</summary>
internal interface IChannelFactory
{
    IExpertChannel Create(PlannedShard shard);
}

/// <summary>In process where the shard is, over the fabric where it has an end point, by grain call elsewhere.</summary>
internal sealed class ChannelFactory(ILocalShards local, FabricPeers peers, IGrainFactory grains) : IChannelFactory
{
    public IExpertChannel Create(PlannedShard shard)
    {
        if (local.TryGet(shard.Id, out ILocalShard? here))
            return new InProcessChannel(shard.Id, here);
        GrainCallChannel call = new(shard.Id, grains.GetGrain<IExpertShardGrain>(shard.Id.ToString()));
        return shard.Endpoint is { } text && IPEndPoint.TryParse(text, out IPEndPoint? endPoint) && endPoint.Port != 0
            ? new FabricChannel(shard, endPoint, peers, call)
            : call;
    }
}
