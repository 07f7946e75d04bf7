namespace K2Cluster.Checkpoint;

/// <summary>
/// Gives weights by positioned reads. Files of a checkpoint today; another silo later. Safe to use from several threads.
/// </summary>
public interface ITensorSource : IDisposable
{
    /// <summary>Every tensor that the source can give. Over files this reads the header of each.</summary>
    /// <exception cref="CheckpointException">A file of the source cannot be used.</exception>
    IEnumerable<TensorInfo> Tensors { get; }

    /// <summary>Looks a tensor up by its full name. Over files this reads the header of the tensor's file, once.</summary>
    /// <exception cref="CheckpointException">The file that should hold the tensor cannot be used, or does not hold it.</exception>
    bool TryGet(string name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TensorInfo? tensor);

    /// <summary>Where the tensor of this name is, or where one would look for it: a file's path, for messages.</summary>
    string Locate(string name);

    /// <summary>Reads <paramref name="destination"/>.Length bytes from byte <paramref name="offset"/> of the tensor's data.</summary>
    /// <exception cref="CheckpointException">The range leaves the tensor, or the file ends or fails under the read.</exception>
    void Read(TensorInfo tensor, long offset, Span<byte> destination);
}
