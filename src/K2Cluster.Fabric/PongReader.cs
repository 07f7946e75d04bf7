namespace K2Cluster.Fabric;

/// <summary>Reads what a peer's service said of itself in answer to a heartbeat, on the thread that reads the connection. The bytes are valid during the call.</summary>
public delegate void PongReader(ReadOnlySpan<byte> head);
