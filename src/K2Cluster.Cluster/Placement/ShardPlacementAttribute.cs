using Orleans.Placement;

namespace K2Cluster.Cluster.Placement;

/// <inheritdoc cref="ShardPlacement"/>
[AttributeUsage(AttributeTargets.Class)]
public sealed class ShardPlacementAttribute() : PlacementAttribute(new ShardPlacement());
