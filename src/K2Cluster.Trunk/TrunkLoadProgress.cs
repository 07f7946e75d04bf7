namespace K2Cluster.Trunk;

/// <summary>How far a load is.</summary>
/// <param name="Layers">Layers read.</param>
/// <param name="TotalLayers">Layers that will be.</param>
/// <param name="Bytes">Bytes read so far, those of the embedding and the head included.</param>
public readonly record struct TrunkLoadProgress(int Layers, int TotalLayers, long Bytes);
