using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests.Processes;

/// <summary>A list of two NUMA nodes over two CPUs of this machine.</summary>
internal sealed class NumaHost : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private NumaHost(params string[] cpus) => Cpus = cpus.ToHashSet();

    public string Path => _directory.Path;

    /// <summary>The list of CPUs of each node, as the kernel writes it.</summary>
    public IReadOnlySet<string> Cpus { get; }

    public static NumaHost OfThisMachine()
    {
        // "0-3,8": the first and the last are of different CPUs wherever there are two.
        string[] allowed = AllowedCpus("/proc/self").Split(',', '-');
        NumaHost host = new(allowed[0], allowed[^1]);
        for (int node = 0; node < 2; node++)
        {
            string folder = Directory.CreateDirectory(System.IO.Path.Combine(host.Path, $"node{node}")).FullName;
            File.WriteAllText(System.IO.Path.Combine(folder, "cpulist"), allowed[node == 0 ? 0 : ^1] + "\n");
            File.WriteAllText(System.IO.Path.Combine(folder, "meminfo"), $"Node {node} MemTotal: {(node + 1) * 4_000_000} kB\n");
        }

        return host;
    }

    /// <summary>Where the threads of a process whose names begin so may run, each place once.</summary>
    public static IReadOnlySet<string> CpusOfThreads(int process, string name) =>
        Directory.EnumerateDirectories($"/proc/{process}/task")
            .Where(thread => File.ReadAllText(System.IO.Path.Combine(thread, "comm")).StartsWith(name, StringComparison.Ordinal))
            .Select(AllowedCpus)
            .ToHashSet();

    private static string AllowedCpus(string process) =>
        File.ReadLines(System.IO.Path.Combine(process, "status")).First(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)).Split(':')[1].Trim();

    public void Dispose() => _directory.Dispose();
}
