using ManagedCuda;

namespace K2Cluster.Cuda.Device;

/// <summary>The GPUs of this machine.</summary>
/// <param name="All">In the order of their ordinals; empty where there is none.</param>
/// <param name="Problem">Why there is none, as one sentence; null where there are some.</param>
/// <param name="HasDriver">Whether there is a CUDA driver.</param>
public sealed record CudaCards(IReadOnlyList<CudaCard> All, string? Problem, bool HasDriver)
{
    /// <summary>Asks the driver. Never throws: a machine without a GPU is the usual case.</summary>
    public static CudaCards Find()
    {
        try
        {
            CudaCard[] cards = [.. Enumerable.Range(0, CudaContext.GetDeviceCount()).Select(CudaCard.Read)];
            return new CudaCards(cards, cards.Length == 0 ? "The CUDA driver knows no GPU on this machine." : null, HasDriver: true);
        }
        catch (Exception exception) when (Cause(exception) is DllNotFoundException or EntryPointNotFoundException or CudaException)
        {
            return new CudaCards([], Cause(exception).Message, HasDriver: Cause(exception) is not DllNotFoundException);
        }
    }

    /// <summary>The package ManagedCuda-12 asks for the driver in a type's initialiser.</summary>
    private static Exception Cause(Exception exception) => exception is TypeInitializationException { InnerException: { } inner } ? inner : exception;
}
