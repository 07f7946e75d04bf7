namespace K2Cluster.Fabric;

/// <summary>A call that got no answer: its connection ended, or the peer refused it. The message says why.</summary>
public sealed class FabricException(string message, Exception? inner = null) : Exception(message, inner);
