namespace K2Cluster.Cuda.Device;

/// <summary>What an error of the driver means to a device. By number: the names of a binding's enumeration may differ.</summary>
internal static class DeviceFault
{
    private const int OutOfMemory = 2;
    private const int UncorrectableEcc = 214;
    private const int UncorrectableNvLink = 220;

    /// <summary>Something was not done for want of memory, and all else goes on.</summary>
    public static bool IsOutOfMemory(int error) => error == OutOfMemory;

    /// <summary>What an operator can do about it, as a sentence.</summary>
    public static string Remedy(int error) => error switch
    {
        UncorrectableEcc => "Its memory is damaged (nvidia-smi -q -d ECC,PAGE_RETIREMENT tells more): reset or replace the card, then start this process again.",
        UncorrectableNvLink => "Its NVLink failed: reset the card, then start this process again.",
        _ => "Start this process again to use it again; dmesg has the driver's Xid.",
    };
}
