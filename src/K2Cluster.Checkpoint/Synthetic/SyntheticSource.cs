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

        // What precedes the next place where a piece may begin.
        int lead = (int)Math.Min(destination.Length, (RandomFill.Alignment - (offset % RandomFill.Alignment)) % RandomFill.Alignment);
        if (lead > 0)
        {
            Span<byte> unit = stackalloc byte[RandomFill.Alignment];
            long start = offset - (offset % RandomFill.Alignment);
            unit = unit[..(int)Math.Min(unit.Length, info.ByteLength - start)];
            fill.Fill(key, start, unit);
            unit.Slice((int)(offset - start), lead).CopyTo(destination);
        }

        if (lead < destination.Length)
            fill.Fill(key, offset + lead, destination[lead..]);
    }

    public void Dispose()
    {
    }
}
