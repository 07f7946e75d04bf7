namespace K2Cluster.Trunk;

/// <summary>Layers [First, Last) of a model. The embedding runs before layer 0, the head after the last layer.</summary>
public readonly record struct LayerRange(int First, int Last);
