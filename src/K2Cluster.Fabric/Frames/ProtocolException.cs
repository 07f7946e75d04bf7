namespace K2Cluster.Fabric.Frames;

/// <summary>Bytes of a peer that are not allowed. Ends the connection, with the message as the reason.</summary>
internal sealed class ProtocolException(string message) : Exception(message);
