using K2Cluster.Faults.Hosts;
using K2Cluster.Faults.Runs;
using K2Cluster.Tests;

namespace K2Cluster.Faults.Scenarios;

/// <summary>Devices that give wrong numbers, or none.</summary>
internal static class DeviceFaults
{
    public static IReadOnlyList<Scenario> All { get; } =
    [
        new("nan", false, false, (options, reference) => SwitchAsync("an expert gives NaN", "nan", options, reference)),
        new("corrupt", false, false, (options, reference) => SwitchAsync("replies with changed bytes", "corrupt", options, reference)),
        new("hang", false, false, (options, reference) => SwitchAsync("a device hangs", "hang", options, reference)),
    ];

    /// <summary>Switches a fault of one silo's device on and off.</summary>
    private static async Task<FaultRow> SwitchAsync(string fault, string file, RunOptions options, Reference reference)
    {
        using TemporaryDirectory folder = new();
        string path = Path.Combine(folder.Path, file);
        await using Cluster cluster = new(options.Model, ["--cluster", "localhost"]);
        Gateway gateway = await SiloFaults.StartAsync(cluster, 3, silo => silo == 0 ? $"folder={folder.Path}" : "");
        return await SiloFaults.MeasureAsync(fault, gateway, reference, options, disturbance => disturbance.RepeatAsync(
            _ => File.WriteAllTextAsync(path, ""),
            _ =>
            {
                File.Delete(path);
                return Task.CompletedTask;
            }));
    }
}
