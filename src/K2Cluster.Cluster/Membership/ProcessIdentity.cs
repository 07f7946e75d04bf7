using System.Diagnostics;
using System.Globalization;

namespace K2Cluster.Cluster.Membership;

/// <summary>
/// One process of this machine, told from a later one that got the same pid: by its start time and, as that counts from
/// the boot and temporary files may outlive one, by the boot.
/// </summary>
internal static class ProcessIdentity
{
    private static readonly string Boot = OperatingSystem.IsLinux() ? File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim() : "";

    /// <summary>This process: "pid start boot".</summary>
    public static string Current { get; } = $"{Environment.ProcessId} {StartOf(Environment.ProcessId)} {Boot}";

    /// <summary>Whether the process still runs. False for a killed one from the moment of its death, reaped or not.</summary>
    public static bool IsAlive(string identity)
    {
        if (identity == Current)
            return true;
        string[] parts = identity.Split(' ');
        return parts.Length == 3 && parts[2] == Boot && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int pid) && StartOf(pid) == parts[1];
    }

    /// <summary>When a process started, in some unit; null when it does not run.</summary>
    private static string? StartOf(int pid) => OperatingSystem.IsLinux() ? StartFromProc(pid) : StartFromApi(pid);

    private static string? StartFromProc(int pid)
    {
        string stat;
        try
        {
            stat = File.ReadAllText($"/proc/{pid}/stat");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null; // no such process, or it died while we read
        }

        // proc(5): "pid (name) state ppid …", starttime is field 22. The name may hold spaces and parentheses.
        string[] fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        bool runs = fields.Length > 19 && fields[0] is not ("Z" or "X" or "x"); // a zombie waits for its parent only
        return runs ? fields[19] : null;
    }

    private static string? StartFromApi(int pid)
    {
        try
        {
            using Process process = Process.GetProcessById(pid);
            return process.StartTime.ToUniversalTime().Ticks.ToString(CultureInfo.InvariantCulture);
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return null;
        }
    }
}
