namespace K2Cluster.GpuCheck;

/// <summary>What a user asks for.</summary>
/// <param name="Device">Ordinal of the card.</param>
/// <param name="Quick">Small shapes only, in seconds.</param>
/// <param name="Output">Directory of the report; null for docs/benchmarks where there is one, and this directory where not.</param>
public sealed record CheckOptions(int Device, bool Quick, string? Output)
{
    public const string QuickHelp = "Small shapes only, in seconds; the figures then say nothing.";
    public const string OutputHelp = "Directory for gpu-<card>.md and gpu-<card>.json; docs/benchmarks where there is one.";
    public const string DeviceHelp = "Number of the card, as CUDA_VISIBLE_DEVICES leaves it.";
}
