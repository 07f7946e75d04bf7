using System.Globalization;
using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.FakeDriver;

/// <summary>
/// GPUs as a line of text, for processes of their own: a number of them, or for each its settings, separated by ';':
/// <c>name=A, capability=8.0, memory=256MiB, sms=2, threads=128, ecc=0, lazy=1, check=0, workers=1</c> and faults
/// <c>oom=3</c> (the third allocation), <c>pinned-oom=3</c> (the third of pinned memory), <c>launch=10:719</c> and <c>copy=5:700</c> (that launch or copy ends with the driver's error of that
/// number, for good), <c>slow=20</c> (milliseconds before each launch), <c>fail-when=/path/of/file</c> or <c>fail-when=/path:214</c> (from
/// the launch on that finds the file). <c>oom</c>, <c>pinned-oom</c>, <c>launch</c> and <c>copy</c> may stand several times.
/// </summary>
internal static class FakeGpuSettings
{
    /// <exception cref="FormatException">The text says something else.</exception>
    public static FakeMachine Install(string text)
    {
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count))
            text = string.Join(';', Enumerable.Range(0, count).Select(i => $"name=Fake GPU {i}"));
        (string Key, string Value)[][] devices = [.. text.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(Settings)];
        FakeMachine machine = FakeMachine.Install(devices.Select(Gpu), quiet: false);
        for (int i = 0; i < devices.Length; i++)
        {
            foreach ((string key, string value) in devices[i])
                AddFault(machine.Devices[i].Faults, key, value);
        }

        return machine;
    }

    private static (string Key, string Value)[] Settings(string device) =>
    [
        .. device.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(setting =>
        {
            int at = setting.IndexOf('=', StringComparison.Ordinal);
            return at > 0 ? (setting[..at], setting[(at + 1)..]) : throw new FormatException($"'{setting}' of a fake GPU is not key=value.");
        }),
    ];

    private static FakeGpu Gpu((string Key, string Value)[] settings)
    {
        FakeGpu gpu = new();
        foreach ((string key, string value) in settings)
        {
            gpu = key switch
            {
                "name" => gpu with { Name = value },
                "capability" => gpu with { Capability = Version.Parse(value) },
                "memory" => gpu with { MemoryBytes = Bytes(value) },
                "sms" => gpu with { MultiProcessors = Number(value) },
                "threads" => gpu with { MaxThreadsPerBlock = Number(value) },
                "ecc" => gpu with { Ecc = value != "0" },
                "lazy" => gpu with { Lazy = value != "0" },
                "check" => gpu with { Emulation = gpu.Emulation with { CheckShared = value != "0" } },
                "workers" => gpu with { Emulation = gpu.Emulation with { Workers = Number(value) } },
                "oom" or "pinned-oom" or "launch" or "copy" or "slow" or "fail-when" => gpu,
                _ => throw new FormatException($"'{key}' is not a setting of a fake GPU."),
            };
        }

        return gpu;
    }

    private static void AddFault(FakeFaults faults, string key, string value)
    {
        int at = value.LastIndexOf(':');
        switch (key)
        {
            case "oom":
                faults.OutOfMemoryAtAllocation(Number(value));
                break;
            case "pinned-oom":
                faults.OutOfMemoryAtPinnedAllocation(Number(value));
                break;
            case "launch":
                faults.StickyErrorAtLaunch(Number(value[..at]), (CUResult)Number(value[(at + 1)..]));
                break;
            case "copy":
                faults.StickyErrorAtCopy(Number(value[..at]), (CUResult)Number(value[(at + 1)..]));
                break;
            case "slow":
                faults.LaunchDelay = TimeSpan.FromMilliseconds(Number(value));
                break;
            case "fail-when" when at > 0:
                faults.StickyErrorWhenFileExists(value[..at], (CUResult)Number(value[(at + 1)..]));
                break;
            case "fail-when":
                faults.StickyErrorWhenFileExists(value);
                break;
        }
    }

    private static long Bytes(string value)
    {
        string[] units = ["KiB", "MiB", "GiB"];
        int unit = Array.FindIndex(units, name => value.EndsWith(name, StringComparison.Ordinal));
        return unit < 0 ? Number(value) : (long)Number(value[..^3]) << (10 * (unit + 1));
    }

    private static int Number(string value) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : throw new FormatException($"'{value}' of a fake GPU is not a number.");
}
