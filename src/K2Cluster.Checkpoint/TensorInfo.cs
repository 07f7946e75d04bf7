namespace K2Cluster.Checkpoint;

/// <summary>Where a tensor lies and what it is. Shape is outermost first, as in the file.</summary>
/// <param name="Name">The name in the file, with the family's prefix.</param>
/// <param name="Type">The element type.</param>
/// <param name="Shape">Dimensions, outermost first; empty for a scalar.</param>
/// <param name="File">Index of the shard file in its source.</param>
/// <param name="Offset">First byte in that file.</param>
/// <param name="ByteLength">Length in bytes.</param>
public sealed record TensorInfo(string Name, TensorType Type, IReadOnlyList<long> Shape, int File, long Offset, long ByteLength);
