namespace K2Cluster.Kernels.Devices;

/// <summary>A device failed and cannot be used any more. What it held is to be computed elsewhere.</summary>
public sealed class DeviceLostException : Exception
{
    public DeviceLostException()
        : this("The device is lost.")
    {
    }

    public DeviceLostException(string message)
        : base(message)
    {
    }

    public DeviceLostException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}
