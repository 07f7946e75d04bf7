using System.Diagnostics;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Faults.Hosts;
using K2Cluster.Faults.Runs;
using K2Cluster.Tests;

namespace K2Cluster.Faults.Scenarios;

/// <summary>What lies outside of the processes: the membership's store, the disk, the network.</summary>
internal static class StoreFaults
{
    public static IReadOnlyList<Scenario> All { get; } =
    [
        new("redis", false, true, RedisAsync),
        new("partition", true, true, PartitionAsync),
        new("disk", true, false, DiskAsync),
    ];

    /// <summary>Redis is killed and comes back with what it had.</summary>
    private static async Task<FaultRow> RedisAsync(RunOptions options, Reference reference)
    {
        using TemporaryDirectory folder = new();
        int port = FreePort.Next();
        await using Redis redis = await Redis.StartAsync("127.0.0.1", port, folder.Path);
        await using Cluster cluster = new(options.Model, ["--cluster", "redis", "--redis", $"127.0.0.1:{port}"]);
        Gateway gateway = await SiloFaults.StartAsync(cluster, 2);
        return await SiloFaults.MeasureAsync("Redis is down", gateway, reference, options, async disturbance =>
        {
            disturbance.Note();
            await redis.KillAsync();
            for (int i = 0; i < options.Faults; i++)
                await disturbance.WaitAsync();
            await redis.StartAgainAsync();
            await disturbance.WaitForRoundAsync();
        });
    }

    /// <summary>Hosts with addresses of their own; one silo's cable is pulled, and put back.</summary>
    private static async Task<FaultRow> PartitionAsync(RunOptions options, Reference reference)
    {
        using TemporaryDirectory folder = new();
        using Network network = new();
        int port = FreePort.Next();
        await using Redis redis = await Redis.StartAsync(Network.Address, port, folder.Path);
        await using Cluster cluster = new(options.Model, ["--cluster", "redis", "--redis", $"{Network.Address}:{port}"]);
        Host[] hosts = [.. Enumerable.Range(0, 3).Select(i => network.Add($"silo-{i}"))];
        foreach (Host host in hosts)
            cluster.LaunchSilo(host, host.Name);
        Gateway gateway = cluster.LaunchGateway(network.Add("gateway"), "gateway");
        await Task.WhenAll(cluster.Silos.Values.Append(gateway.Process).Select(Cluster.WaitUntilReadyAsync));
        return await SiloFaults.MeasureAsync("a silo's network is cut", gateway, reference, options, async disturbance =>
        {
            for (int i = 0; i < options.Faults; i++)
            {
                Host host = hosts[i % hosts.Length];
                await gateway.WaitUntilSettledAsync(hosts.Length);
                disturbance.Note();
                network.Cut(host);
                await disturbance.WaitAsync();
                await disturbance.WaitForRoundAsync();
                network.Mend(host);

                // Those who were declared dead say so and leave: started again, as systemd would.
                ChildProcess silo = cluster.Silos[host.Name];
                await disturbance.WaitAsync();
                if (silo.HasExited)
                    await Cluster.WaitUntilReadyAsync(cluster.LaunchSilo(host, host.Name));
                await disturbance.WaitForRoundAsync();
            }
        });
    }

    /// <summary>The disk on which the members of a localhost cluster find each other is full, while a silo dies.</summary>
    private static async Task<FaultRow> DiskAsync(RunOptions options, Reference reference)
    {
        using TemporaryDirectory folder = new();
        Mount("mount", "-t", "tmpfs", "-o", "size=1m", "none", folder.Path);
        try
        {
            await using Cluster cluster = new(options.Model, ["--cluster", "localhost"], new Dictionary<string, string> { ["TMPDIR"] = folder.Path });
            Gateway gateway = await SiloFaults.StartAsync(cluster, 3);
            return await SiloFaults.MeasureAsync("the disk is full, a silo dies", gateway, reference, options, async disturbance =>
            {
                string filler = Path.Combine(folder.Path, "filler");
                disturbance.Note();
                Fill(filler);
                await disturbance.WaitForRoundAsync();
                disturbance.Note();
                await cluster.Silos["silo-0"].KillAsync();
                await disturbance.WaitAsync();
                File.Delete(filler);
                await Cluster.WaitUntilReadyAsync(cluster.LaunchSilo(Host.Local, "silo-0"));
                await disturbance.WaitForRoundAsync();
            });
        }
        finally
        {
            Mount("umount", "-l", folder.Path);
        }
    }

    private static void Fill(string path)
    {
        using FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        try
        {
            while (true)
                file.Write(new byte[512]);
        }
        catch (IOException)
        {
            // As full as it goes.
        }
    }

    private static void Mount(params string[] command)
    {
        using Process process = Process.Start(new ProcessStartInfo(command[0], command[1..]))!;
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{string.Join(' ', command)} failed: it takes root.");
    }
}
