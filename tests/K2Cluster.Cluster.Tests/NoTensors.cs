using System.Diagnostics.CodeAnalysis;
using K2Cluster.Checkpoint;

namespace K2Cluster.Cluster.Tests;

/// <summary>A source for devices that read nothing.</summary>
internal sealed class NoTensors : ITensorSource
{
    public IEnumerable<TensorInfo> Tensors => [];

    public bool TryGet(string name, [NotNullWhen(true)] out TensorInfo? tensor)
    {
        tensor = null;
        return false;
    }

    public string Locate(string name) => "nowhere";

    public void Read(TensorInfo tensor, long offset, Span<byte> destination) => throw new CheckpointException("There are no tensors.");

    public void Dispose()
    {
    }
}
