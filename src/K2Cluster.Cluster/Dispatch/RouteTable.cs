using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>A plan with a channel for each of its shards.</summary>
internal sealed class RouteTable(PlacementPlan plan, IExpertChannel[] channels)
{
    private readonly string[] _names = Array.ConvertAll(channels, channel => channel.Shard.ToString());

    public PlacementPlan Plan => plan;

    /// <summary>In the order of the plan's shards.</summary>
    public IExpertChannel[] Channels => channels;

    public IExpertChannel Channel(int shard) => channels[shard];

    /// <summary>The shard's id as text, for tags.</summary>
    public string Name(int shard) => _names[shard];
}
