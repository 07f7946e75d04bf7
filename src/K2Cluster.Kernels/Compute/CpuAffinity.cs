using System.Runtime.InteropServices;

namespace K2Cluster.Kernels.Compute;

/// <summary>Which CPUs a thread may run on. Linux; elsewhere nothing is known and nothing is bound.</summary>
public static unsafe partial class CpuAffinity
{
    /// <summary>CPU numbers lie below this.</summary>
    public const int MaxCpus = 8192;

    private const int MaskBytes = MaxCpus / 8;

    /// <summary>The CPUs that the calling thread may run on, rising: those of the process's cgroup and affinity, unless it was bound. Null where the system does not say.</summary>
    public static IReadOnlyList<int>? Allowed()
    {
        byte* mask = stackalloc byte[MaskBytes];
        new Span<byte>(mask, MaskBytes).Clear();
        if (!OperatingSystem.IsLinux() || GetAffinity(0, MaskBytes, mask) < 0)
            return null;
        List<int> cpus = [];
        for (int cpu = 0; cpu < MaxCpus; cpu++)
        {
            if ((mask[cpu / 8] >> (cpu % 8) & 1) != 0)
                cpus.Add(cpu);
        }

        return cpus;
    }

    /// <summary>Binds the calling thread to some CPUs; false where the system does not do it, and the thread runs as before.</summary>
    public static bool Bind(IReadOnlyList<int> cpus)
    {
        ArgumentNullException.ThrowIfNull(cpus);
        byte* mask = stackalloc byte[MaskBytes];
        new Span<byte>(mask, MaskBytes).Clear();
        foreach (int cpu in cpus)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)cpu, (uint)MaxCpus, nameof(cpus));
            mask[cpu / 8] |= (byte)(1 << (cpu % 8));
        }

        return OperatingSystem.IsLinux() && SetAffinity(0, MaskBytes, mask) == 0;
    }

    // The mask is of machine words, little endian on every processor that .NET runs Linux on but s390x, which has no NUMA here.
    [LibraryImport("libc", EntryPoint = "sched_getaffinity")]
    private static partial int GetAffinity(int thread, nuint bytes, byte* mask);

    [LibraryImport("libc", EntryPoint = "sched_setaffinity")]
    private static partial int SetAffinity(int thread, nuint bytes, byte* mask);
}
