namespace K2Cluster.Engine;

/// <summary>One generated token; the last one carries why it is the last.</summary>
public readonly record struct GeneratedToken(int Id, FinishReason? Finish);
