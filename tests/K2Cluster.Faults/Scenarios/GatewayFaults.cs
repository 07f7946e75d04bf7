using K2Cluster.Client;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Faults.Hosts;
using K2Cluster.Faults.Runs;
using K2Cluster.Faults.Traffic;

namespace K2Cluster.Faults.Scenarios;

/// <summary>Gateways that die or are restarted, before clients that go on elsewhere.</summary>
internal static class GatewayFaults
{
    public static IReadOnlyList<Scenario> All { get; } =
    [
        new("gateway", false, false, KillAsync),
        new("rolling-restart", false, false, RestartAsync),
    ];

    /// <summary>kill -9 of one gateway after another, each started again.</summary>
    private static async Task<FaultRow> KillAsync(RunOptions options, Reference reference)
    {
        await using Cluster cluster = new(options.Model, ["--cluster", "localhost"]);
        await StartAsync(cluster);
        return await MeasureAsync("kill -9 of a gateway", cluster, reference, options, async disturbance =>
        {
            for (int i = 0; i < options.Faults; i++)
            {
                string name = $"gateway-{i % 2}";
                disturbance.Note();
                await cluster.Gateways[name].Process.KillAsync();
                await disturbance.WaitAsync();
                await Cluster.WaitUntilReadyAsync((await cluster.RelaunchGatewayAsync(name)).Process);
                await disturbance.WaitForRoundAsync();
            }
        });
    }

    /// <summary>SIGTERM to every process, one after another, each started again.</summary>
    private static async Task<FaultRow> RestartAsync(RunOptions options, Reference reference)
    {
        await using Cluster cluster = new(options.Model, ["--cluster", "localhost"]);
        await StartAsync(cluster);
        return await MeasureAsync("every process is restarted", cluster, reference, options, async disturbance =>
        {
            for (int i = 0; i < options.Faults; i++)
            {
                foreach (string name in new[] { "gateway-0", "gateway-1" })
                {
                    disturbance.Note();
                    await LeaveAsync(cluster.Gateways[name].Process);
                    await Cluster.WaitUntilReadyAsync((await cluster.RelaunchGatewayAsync(name)).Process);
                }

                foreach (string name in cluster.Silos.Keys.ToArray())
                {
                    disturbance.Note();
                    await LeaveAsync(cluster.Silos[name]);
                    await Cluster.WaitUntilReadyAsync(cluster.LaunchSilo(Host.Local, name));
                }
            }
        });
    }

    private static async Task LeaveAsync(ChildProcess process)
    {
        if (await process.StopAsync(TimeSpan.FromSeconds(90)) is not 0 and int code)
            throw new InvalidOperationException($"A process left with exit code {code}: {process.Errors}");
    }

    private static async Task StartAsync(Cluster cluster)
    {
        for (int i = 0; i < 2; i++)
        {
            cluster.LaunchSilo(Host.Local, $"silo-{i}");
            cluster.LaunchGateway(Host.Local, $"gateway-{i}");
        }

        await Task.WhenAll(cluster.Silos.Values.Concat(cluster.Gateways.Values.Select(gateway => gateway.Process)).Select(Cluster.WaitUntilReadyAsync));
    }

    /// <summary>Half of the requests prefer one gateway, half the other.</summary>
    private static async Task<FaultRow> MeasureAsync(string fault, Cluster cluster, Reference reference, RunOptions options, Func<Disturbance, Task> disturb)
    {
        Uri[] addresses = [.. cluster.Gateways.Values.Select(gateway => gateway.Grpc)];
        K2Client[] clients = [new(addresses), new(addresses.Reverse())];
        try
        {
            return await Measurement.RunAsync(
                fault, number => StreamedAnswer.ReadAsync(clients[number % 2].GenerateAsync(FaultRequest.Make(number, options.Tokens))), reference, options, disturb);
        }
        finally
        {
            foreach (K2Client client in clients)
                client.Dispose();
        }
    }
}
