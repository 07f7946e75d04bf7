namespace K2Cluster.Cluster;

/// <summary>A cluster that cannot be formed or joined. The message says what is wrong and what to do; it needs no stack beside it.</summary>
public sealed class ClusterException(string message, Exception? inner = null) : Exception(message, inner);
