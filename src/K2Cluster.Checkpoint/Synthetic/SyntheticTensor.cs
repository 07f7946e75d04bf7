namespace K2Cluster.Checkpoint.Synthetic;

/// <summary>A tensor to be made up.</summary>
internal sealed record SyntheticTensor(string Name, TensorType Type, int[] Shape, RandomFill Fill)
{
    public long ByteLength { get; } = Shape.Aggregate(Type == TensorType.BF16 ? 2L : 4L, (bytes, size) => bytes * size);
}
