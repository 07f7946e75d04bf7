namespace K2Cluster.Contracts.Wire;

/// <summary>Bytes of a peer that are no frame: a length, id or field that is not allowed.</summary>
public sealed class FrameFormatException(string message) : Exception(message);
