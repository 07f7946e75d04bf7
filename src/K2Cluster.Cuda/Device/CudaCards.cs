using ManagedCuda;

namespace K2Cluster.Cuda.Device;

/// <summary>The GPUs of this machine.</summary>
/// <param name="All">In the order of their ordinals; empty where there is none.</param>
/// <param name="Problem">Why there is none, as one sentence; null where there are some.</param>
public sealed record CudaCards(IReadOnlyList<CudaCard> All, string? Problem)
{
    /// <summary>Asks the driver. Never throws: a machine without a GPU is the usual case.</summary>
    public static CudaCards Find()
    {
        try
        {
            CudaCard[] cards = [.. Enumerable.Range(0, CudaContext.GetDeviceCount()).Select(CudaCard.Read)];
            return new CudaCards(cards, cards.Length == 0 ? "The CUDA driver knows no GPU on this machine." : null);
        }
        catch (Exception exception) when (exception is DllNotFoundException or EntryPointNotFoundException or CudaException)
        {
            return new CudaCards([], exception.Message);
        }
    }
}
