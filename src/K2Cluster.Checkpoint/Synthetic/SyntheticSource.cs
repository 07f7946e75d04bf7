using System.Diagnostics.CodeAnalysis;

namespace K2Cluster.Checkpoint.Synthetic;

/// <summary>The tensors of a <see cref="SyntheticCheckpoint"/> without its files: made as they are read, by any number of threads.</summary>
public sealed class SyntheticSource : ITensorSource
{
    private readonly Dictionary<string, (TensorInfo Info, RandomFill Fill, ulong Key)> _tensors = [];

    internal SyntheticSource(IEnumerable<SyntheticTensor> tensors, long seed)
    {
        foreach (SyntheticTensor tensor in tensors)
        {
            TensorInfo info = new(tensor.Name, tensor.Type, [.. tensor.Shape.Select(size => (long)size)], 0, 0, tensor.ByteLength);
            _tensors.Add(tensor.Name, (info, tensor.Fill, RandomFill.KeyOf(seed, tensor.Name)));
        }
    }

    public IEnumerable<TensorInfo> Tensors => _tensors.Values.Select(tensor => tensor.Info);

    public bool TryGet(string name, [NotNullWhen(true)] out TensorInfo? tensor)
    {
        tensor = _tensors.TryGetValue(name, out (TensorInfo Info, RandomFill, ulong) found) ? found.Info : null;
        return tensor is not null;
    }

    public string Locate(string name) => "synthetic";

    public void Read(TensorInfo tensor, long offset, Span<byte> destination)
    {
        (TensorInfo info, RandomFill fill, ulong key) = _tensors[tensor.Name];
        if (offset < 0 || offset > info.ByteLength - destination.Length)
            throw new CheckpointException($"Tensor {info.Name} has {info.ByteLength:N0} bytes; {destination.Length:N0} from {offset:N0} on leave it.");

        Span<byte> unit = stackalloc byte[RandomFill.Alignment];
        while (destination.Length > 0)
        {
            int into = (int)(offset % RandomFill.Alignment);
            int length = destination.Length - (destination.Length % RandomFill.Alignment);
            if (into == 0 && (length > 0 || offset + destination.Length == info.ByteLength))
            {
                length = offset + destination.Length == info.ByteLength ? destination.Length : length;
                fill.Fill(key, offset, destination[..length]);
            }
            else
            {
                // A piece of what can only be made as a whole.
                Span<byte> whole = unit[..(int)Math.Min(unit.Length, info.ByteLength - offset + into)];
                fill.Fill(key, offset - into, whole);
                length = Math.Min(whole.Length - into, destination.Length);
                whole.Slice(into, length).CopyTo(destination);
            }

            destination = destination[length..];
            offset += length;
        }
    }

    public void Dispose()
    {
    }
}
