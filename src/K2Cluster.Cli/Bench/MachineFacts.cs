using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using K2Cluster.Kernels.Compute;

namespace K2Cluster.Cli;

/// <summary>What a figure was measured on.</summary>
/// <param name="Processor">As the system names it.</param>
/// <param name="Processors">That this process may use.</param>
/// <param name="LastLevelCacheBytes">0 where neither the system nor the processor says.</param>
/// <param name="MemoryBytes">That this process may use.</param>
/// <param name="Path">The instruction set that the kernels take by themselves.</param>
/// <param name="LoadAverage">Of the last minute, when the bench began; null where the system does not say. Beside other work a figure says little.</param>
/// <param name="System">The operating system.</param>
/// <param name="Runtime">Of .NET.</param>
/// <param name="Version">Of this tool.</param>
/// <param name="TimeUtc">When the bench began.</param>
internal sealed record MachineFacts(
    string Processor,
    int Processors,
    long LastLevelCacheBytes,
    long MemoryBytes,
    string Path,
    double? LoadAverage,
    string System,
    string Runtime,
    string Version,
    DateTimeOffset TimeUtc)
{
    public static MachineFacts Read() => new(
        ReadProcessor(),
        Environment.ProcessorCount,
        ReadLastLevelCache(),
        GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
        CpuPaths.Best.ToString(),
        ReadLoad(),
        RuntimeInformation.OSDescription,
        RuntimeInformation.FrameworkDescription,
        typeof(MachineFacts).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "",
        DateTimeOffset.UtcNow);

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Processor}, {Processors} processors, {(LastLevelCacheBytes > 0 ? $"{LastLevelCacheBytes >> 20} MiB last-level cache" : "last-level cache unknown")}, {Path}, load {LoadAverage:N2} at the start");

    private static string ReadProcessor()
    {
        try
        {
            return File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) is { } line
                ? TerminalText.Of(line[(line.IndexOf(':') + 1)..].Trim())
                : RuntimeInformation.ProcessArchitecture.ToString();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return RuntimeInformation.ProcessArchitecture.ToString();
        }
    }

    private static double? ReadLoad()
    {
        try
        {
            return double.TryParse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture, out double load) ? load : null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>By the processor's own word, leaf 4 (Intel) or 0x8000001D (AMD), which virtual machines often give where they give no sysfs.</summary>
    private static long ReadLastLevelCache()
    {
        if (!X86Base.IsSupported)
            return 0;
        long largest = 0;
        foreach (int leaf in new[] { 4, unchecked((int)0x8000001D) })
        {
            uint highest = (uint)X86Base.CpuId(leaf & unchecked((int)0x80000000), 0).Eax;
            if (highest < (uint)leaf)
                continue;
            for (int index = 0; index < 8; index++)
            {
                (int eax, int ebx, int ecx, _) = X86Base.CpuId(leaf, index);
                if ((eax & 0x1F) == 0)
                    break;
                long ways = ((ebx >> 22) & 0x3FF) + 1, partitions = ((ebx >> 12) & 0x3FF) + 1, line = (ebx & 0xFFF) + 1;
                largest = Math.Max(largest, ways * partitions * line * ((uint)ecx + 1L));
            }
        }

        return largest;
    }
}
