using System.Globalization;
using System.Text;

namespace K2Cluster.Kernels.Compute;

/// <summary>
/// The NUMA nodes of a host, as Linux lists them under <c>/sys/devices/system/node</c>. Reading weights over the link between
/// nodes takes twice as long as reading one's own: where there are several nodes, each is a device.
/// </summary>
/// <param name="Nodes">Those to compute on: online, with memory and with CPUs that this process may use. None where <paramref name="Problem"/> is set.</param>
/// <param name="Problem">Why the list could not be used; null when it could, or when the system has none.</param>
public sealed record NumaTopology(IReadOnlyList<NumaNode> Nodes, string? Problem)
{
    /// <summary>Where Linux lists them.</summary>
    public const string SystemDirectory = "/sys/devices/system/node";

    private const int MaxNodes = 1024;
    private const int MaxFileBytes = 64 << 10;

    /// <param name="directory">Laid out as <see cref="SystemDirectory"/>.</param>
    /// <param name="allowed">CPUs that this process may use; null for all.</param>
    public static NumaTopology Read(string directory, IReadOnlyList<int>? allowed)
    {
        try
        {
            List<NumaNode> nodes = ReadNodes(directory, allowed);
            // A system may have no list. Who names another directory means one.
            bool missing = nodes.Count == 0 && directory != SystemDirectory;
            return new NumaTopology(nodes, missing ? $"{directory}: lists no node with memory and with CPUs that this process may use." : null);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or FormatException)
        {
            return new NumaTopology([], failure.Message);
        }
    }

    private static List<NumaNode> ReadNodes(string directory, IReadOnlyList<int>? allowed)
    {
        if (!Directory.Exists(directory))
            return [];
        HashSet<int>? usable = allowed?.ToHashSet();
        HashSet<int> seen = [];
        List<NumaNode> nodes = [];
        List<int> withoutMemory = [];
        foreach (int id in OnlineNodes(directory))
        {
            string node = Path.Combine(directory, $"node{id}");
            List<int> cpus = ReadList(Path.Combine(node, "cpulist"), CpuAffinity.MaxCpus);
            foreach (int cpu in cpus)
            {
                if (!seen.Add(cpu))
                    throw new FormatException($"{node}: CPU {cpu} is of another node, too.");
            }

            long memory = ReadMemory(Path.Combine(node, "meminfo"));
            cpus.RemoveAll(cpu => usable is not null && !usable.Contains(cpu));
            if (memory == 0)
                withoutMemory.AddRange(cpus);
            else if (cpus.Count > 0)
                nodes.Add(new NumaNode(id, cpus, memory));
        }

        // Any memory is far for them: they help the first.
        if (nodes.Count > 0 && withoutMemory.Count > 0)
            nodes[0] = nodes[0] with { Cpus = [.. nodes[0].Cpus.Concat(withoutMemory).Order()] };
        return nodes;
    }

    /// <summary>From the file <c>online</c>, or where there is none the directories that there are.</summary>
    private static List<int> OnlineNodes(string directory)
    {
        string online = Path.Combine(directory, "online");
        if (File.Exists(online))
            return ReadList(online, MaxNodes);
        List<int> ids = [];
        foreach (string path in Directory.EnumerateDirectories(directory, "node*"))
        {
            if (int.TryParse(Path.GetFileName(path)["node".Length..], NumberStyles.None, CultureInfo.InvariantCulture, out int id) && id < MaxNodes)
                ids.Add(id);
        }

        ids.Sort();
        return ids;
    }

    /// <summary>A list as the kernel writes it, "0-3,8,10-11", rising; empty for an empty file.</summary>
    private static List<int> ReadList(string path, int limit)
    {
        string text = ReadText(path).Trim();
        List<int> numbers = [];
        if (text.Length == 0)
            return numbers;
        foreach (string range in text.Split(','))
        {
            string[] ends = range.Split('-');
            if (ends.Length > 2
                || !int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
                || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last)
                || first > last || last >= limit || (numbers.Count > 0 && first <= numbers[^1]))
            {
                throw new FormatException($"{path}: is not a rising list of numbers below {limit}.");
            }

            for (int number = first; number <= last; number++)
                numbers.Add(number);
        }

        return numbers;
    }

    /// <summary>Bytes, from the line "Node 0 MemTotal: 32768 kB".</summary>
    private static long ReadMemory(string path)
    {
        foreach (string line in ReadText(path).Split('\n'))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words is ["Node", _, "MemTotal:", var size, "kB"] && long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out long kilobytes) && kilobytes <= long.MaxValue >> 10)
                return kilobytes << 10;
        }

        throw new FormatException($"{path}: states no MemTotal.");
    }

    private static string ReadText(string path)
    {
        using FileStream file = File.OpenRead(path);
        byte[] content = new byte[MaxFileBytes + 1];
        int length = file.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
        return length <= MaxFileBytes ? Encoding.ASCII.GetString(content, 0, length) : throw new FormatException($"{path}: is longer than {MaxFileBytes} bytes.");
    }
}
