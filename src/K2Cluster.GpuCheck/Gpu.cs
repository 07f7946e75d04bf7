using K2Cluster.Cuda.Device;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.GpuCheck;

/// <summary>A card in use: its context, one stream, what it is.</summary>
internal sealed class Gpu : IDisposable
{
    /// <exception cref="CudaException">The driver refuses the card.</exception>
    public Gpu(CudaCard card)
    {
        Card = card;
        Context = new PrimaryContext(card.Ordinal);
        try
        {
            Properties = Context.GetDeviceInfo();
            Stream = new CudaStream(CUStreamFlags.NonBlocking);
        }
        catch
        {
            Context.Dispose();
            throw;
        }
    }

    public CudaCard Card { get; }

    public PrimaryContext Context { get; }

    public CudaDeviceProperties Properties { get; }

    public CudaStream Stream { get; }

    public int Multiprocessors => Properties.MultiProcessorCount;

    public int SharedBytes => Properties.MaxSharedMemoryPerBlockOptin;

    public int MostThreads => Properties.MaxThreadsPerBlock;

    public long L2Bytes => Properties.L2CacheSize;

    /// <summary>Bytes that may be allocated now; a sixteenth of the card stays free, for the driver and for who else uses it.</summary>
    public long FreeBytes => Math.Max(0, (long)(ulong)Context.GetFreeDeviceMemorySize() - (Card.MemoryBytes / 16));

    public void Dispose()
    {
        Stream.Dispose();
        Context.Dispose();
    }
}
