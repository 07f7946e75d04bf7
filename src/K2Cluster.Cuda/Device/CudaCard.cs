using ManagedCuda;

namespace K2Cluster.Cuda.Device;

/// <summary>A GPU of this machine.</summary>
/// <param name="Ordinal">Its number, as CUDA_VISIBLE_DEVICES leaves it.</param>
/// <param name="Name">As its maker calls it.</param>
/// <param name="Capability">Compute capability.</param>
/// <param name="MemoryBytes">All of its memory.</param>
/// <param name="Refusal">Why it cannot be used; null when it can.</param>
public sealed record CudaCard(int Ordinal, string Name, Version Capability, long MemoryBytes, string? Refusal)
{
    /// <summary>The oldest that the kernels run on: Ampere, the first with BF16 in the tensor cores.</summary>
    public static readonly Version LeastCapability = new(8, 0);

    /// <summary>"cuda:0 NVIDIA H100".</summary>
    public string FullName => $"cuda:{Ordinal} {Name}";

    /// <summary>Asks the driver. A card that cannot be asked cannot be used, and keeps nobody from the others.</summary>
    internal static CudaCard Read(int ordinal)
    {
        CudaDeviceProperties properties;
        try
        {
            properties = CudaContext.GetDeviceInfo(ordinal);
        }
        catch (CudaException exception)
        {
            return new CudaCard(ordinal, "GPU", new Version(0, 0), 0, $"cuda:{ordinal} cannot be asked what it is: {exception.Message}");
        }

        string? refusal = properties.ComputeCapability < LeastCapability
            ? $"cuda:{ordinal} {properties.DeviceName} has compute capability {properties.ComputeCapability}; the kernels need {LeastCapability} (Ampere) or newer."
            : null;
        return new CudaCard(ordinal, properties.DeviceName, properties.ComputeCapability, (long)(ulong)properties.TotalGlobalMemory, refusal);
    }
}
