using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace K2Cluster.Cli;

/// <summary>A device to plan for.</summary>
/// <param name="Host">The host that it is in.</param>
/// <param name="Kind">What gives equal bits: "cpu", or a GPU's architecture.</param>
/// <param name="Memory">Bytes for experts.</param>
/// <param name="Bandwidth">Bytes read in a second.</param>
internal sealed partial record DeviceSpec(string Host, string Kind, double Memory, double Bandwidth)
{
    public const string Syntax = "HOST=[Nx]KIND:MEMORY@BANDWIDTH, as in host-1=8xcuda:72GiB@3.35TB/s, host-1..4=cpu:400GiB@200GB/s (1KB/s or more) or host-1..2=8xH100";

    /// <summary>So many, with 16 replicas of Kimi K2's experts, are planned in up to 7 s (docs/benchmarks/planner.md).</summary>
    private const int MostDevices = 512;

    private const int MostFileBytes = 1 << 20;

    /// <summary>Cards by name: memory for experts is what is on the card less 8 GB for buffers and the driver.</summary>
    private static readonly Dictionary<string, string> Cards = new(StringComparer.OrdinalIgnoreCase)
    {
        ["A100"] = "sm_80:72GB@2.04TB/s",
        ["H100"] = "sm_90:72GB@3.35TB/s",
        ["H200"] = "sm_90:133GB@4.8TB/s",
    };

    public bool UsesHostThreads => Kind.StartsWith("cpu", StringComparison.Ordinal);

    /// <summary>All devices of what was given on the command line and in a file.</summary>
    /// <exception cref="CommandException">Something is not as <see cref="Syntax"/> says.</exception>
    public static IReadOnlyList<DeviceSpec> ReadAll(IEnumerable<string> texts, string? file)
    {
        List<DeviceSpec> devices = [];
        foreach (string text in file is null ? texts : texts.Concat(ReadFile(file)))
        {
            devices.AddRange(Parse(text));
            if (devices.Count > MostDevices)
                throw new CommandException($"More than {MostDevices} devices would take too long to plan: give fewer.");
        }

        return devices.Count > 0 ? devices : throw new CommandException($"There is no device to plan for: give --device {Syntax}.");
    }

    private static IEnumerable<DeviceSpec> Parse(string text)
    {
        Match match = Pattern().Match(text);
        string what = match.Groups["device"].Value;
        Match device = DevicePattern().Match(Cards.GetValueOrDefault(what, what));
        if (!match.Success || !device.Success || !Quantity.TryBytes(device.Groups["memory"].Value, out double memory) || !Quantity.TryRate(device.Groups["bandwidth"].Value, out double bandwidth))
            throw new CommandException($"--device {TerminalText.Of(text)}: {Syntax} is expected. Cards known by name: {string.Join(", ", Cards.Keys)}.");

        int count = Number("count", 1);
        int first = Number("first", 0);
        int last = Number("last", first);
        if (count < 1 || last < first || (long)count * (last - first + 1) > MostDevices)
            throw new CommandException($"--device {TerminalText.Of(text)}: that is no device, or more than {MostDevices}, which would take too long to plan.");
        for (int number = first; number <= last; number++)
        {
            string host = match.Groups["last"].Success ? $"{match.Groups["name"].Value}{number}" : match.Groups["host"].Value;
            for (int i = 0; i < count; i++)
                yield return new DeviceSpec(host, device.Groups["kind"].Value, memory, bandwidth);
        }

        int Number(string group, int fallback) => match.Groups[group].Success ? int.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture) : fallback;
    }

    private static string[] ReadFile(string file)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(ReadBounded(file));
            return [.. document.RootElement.EnumerateArray().Select(item => item.GetString() ?? "null")];
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or JsonException or InvalidOperationException)
        {
            throw new CommandException($"{TerminalText.Of(file)}: a JSON array of texts is expected, each as after --device ({failure.Message}).");
        }
    }

    /// <summary>The file's bytes without the mark of UTF-8 that some editors begin it with.</summary>
    private static ReadOnlyMemory<byte> ReadBounded(string file)
    {
        byte[] bytes = new byte[MostFileBytes + 1]; // a device file has no length to go by
        using FileStream stream = File.OpenRead(file);
        int count = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        if (count > MostFileBytes)
            throw new CommandException($"{TerminalText.Of(file)}: a JSON array of texts is expected, each as after --device; this is larger than 1 MiB.");
        ReadOnlyMemory<byte> text = bytes.AsMemory(0, count);
        return text.Span.StartsWith("\uFEFF"u8) ? text[3..] : text;
    }

    [GeneratedRegex(@"^(?<host>(?<name>[A-Za-z0-9._-]*?[A-Za-z._-])(?<first>\d{1,6})\.\.(?<last>\d{1,6})|[A-Za-z0-9._-]+)=((?<count>\d{1,4})x)?(?<device>.+)$")]
    private static partial Regex Pattern();

    [GeneratedRegex(@"^(?<kind>[A-Za-z][A-Za-z0-9_-]*):(?<memory>[^@]+)@(?<bandwidth>.+)$")]
    private static partial Regex DevicePattern();
}
