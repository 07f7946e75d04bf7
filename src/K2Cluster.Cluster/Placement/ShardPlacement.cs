
namespace K2Cluster.Cluster.Placement;

/// <summary>A grain whose key is a shard's lives on the silo that the key names, and nowhere else.</summary>
[GenerateSerializer, Immutable, Alias("k2.ShardPlacement")]
public sealed class ShardPlacement : PlacementStrategy;
