namespace ManagedCuda;

/// <summary>The context that a device has for the whole process.</summary>
public sealed class PrimaryContext : CudaContext
{
    public PrimaryContext()
        : this(0)
    {
    }

    /// <param name="deviceId">The device's ordinal, as CUDA_VISIBLE_DEVICES leaves it.</param>
    /// <exception cref="CudaException">There is no such device, or it cannot be used.</exception>
    public PrimaryContext(int deviceId)
        : base(deviceId)
    {
    }
}
