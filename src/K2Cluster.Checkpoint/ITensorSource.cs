namespace K2Cluster.Checkpoint;

/// <summary>
/// Gives weights by positioned reads. Files of a checkpoint today; another silo later. Safe to use from several threads.
/// </summary>
public interface ITensorSource : IDisposable
{
    /// <summary>Every tensor that the source can give.</summary>
    IEnumerable<TensorInfo> Tensors { get; }

    /// <summary>Looks a tensor up by its full name.</summary>
    bool TryGet(string name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TensorInfo? tensor);

    /// <summary>Reads <paramref name="destination"/>.Length bytes from byte <paramref name="offset"/> of the tensor's data.</summary>
    /// <exception cref="CheckpointException">The range leaves the tensor, or the file ends or fails under the read.</exception>
    void Read(TensorInfo tensor, long offset, Span<byte> destination);
}
