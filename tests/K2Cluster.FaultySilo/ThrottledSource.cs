using System.Diagnostics.CodeAnalysis;
using K2Cluster.Checkpoint;

namespace K2Cluster.FaultySilo;

/// <summary>A checkpoint on a disk that gives so many bytes in a second.</summary>
internal sealed class ThrottledSource(ITensorSource source, double bytesPerSecond) : ITensorSource
{
    private readonly Pace _pace = new(bytesPerSecond, owed: TimeSpan.FromMilliseconds(20));

    public IEnumerable<TensorInfo> Tensors => source.Tensors;

    public bool TryGet(string name, [NotNullWhen(true)] out TensorInfo? tensor) => source.TryGet(name, out tensor);

    public string Locate(string name) => source.Locate(name);

    public void Read(TensorInfo tensor, long offset, Span<byte> destination)
    {
        source.Read(tensor, offset, destination);
        _pace.Wait(destination.Length);
    }

    public void Dispose()
    {
        // The silo's own to dispose.
    }
}
