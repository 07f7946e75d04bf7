namespace K2Cluster.GpuCheck;

/// <summary>A kernel that the card could not run or not compile. Nothing may be asked of the card after it.</summary>
internal sealed class KernelFailureException(string target, string kernel, Exception cause) : Exception(cause.Message, cause)
{
    public string Target { get; } = target;

    public string Kernel { get; } = kernel;
}
