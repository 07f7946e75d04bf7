using System.Globalization;
using System.Net.Http.Json;
using Grpc.Core;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Faults.Hosts;
using K2Cluster.Faults.Runs;
using K2Cluster.Faults.Traffic;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Faults.Scenarios;

/// <summary>Silos that die, fall silent, or come and go.</summary>
internal static class SiloFaults
{
    private static readonly string[] Localhost = ["--cluster", "localhost"];

    public static IReadOnlyList<Scenario> All { get; } =
    [
        new("kill", false, false, KillAsync),
        new("reload", false, false, ReloadAsync),
        new("too-few", false, false, TooFewAsync),
        new("freeze", false, false, FreezeAsync),
        new("join-and-leave", false, false, JoinAndLeaveAsync),
    ];

    /// <summary>kill -9 of one silo after another at a fixed pace, each started again at once, until all requests are answered.</summary>
    private static async Task<FaultRow> KillAsync(RunOptions options, Reference reference)
    {
        await using Cluster cluster = new(options.Model, Localhost);
        Gateway gateway = await StartAsync(cluster, 3);
        return await MeasureAsync("kill -9 of a silo", gateway, reference, options, async disturbance =>
        {
            for (int i = 0; i < options.Faults || disturbance.Load.Done < options.Requests; i++)
            {
                string name = $"silo-{i % 3}";
                Task pace = disturbance.WaitAsync();
                disturbance.Note();
                await cluster.Silos[name].KillAsync();
                await Cluster.WaitUntilReadyAsync(cluster.LaunchSilo(Host.Local, name));
                await pace;
            }

            await disturbance.WaitForRoundAsync();
        });
    }

    /// <summary>kill -9 of a silo of three, of which two can hold all experts, without replicas: what it had is loaded by the others, at a stated rate.</summary>
    private static async Task<FaultRow> ReloadAsync(RunOptions options, Reference reference)
    {
        await using Cluster cluster = new(options.Model, Localhost);
        string rate = string.Create(CultureInfo.InvariantCulture, $"load-bytes-per-second={options.LoadBytesPerSecond:0}");
        Gateway gateway = await StartAsync(cluster, 3, _ => rate, "--memory", options.HalfMemory);
        await gateway.Admin.ChangeAsync(new ChangeRequest { Changes = { new PlacementChange { Replicas = new SetReplicas { Replicas = 1 } } } });
        List<double> lost = []; // MB
        FaultRow row = await MeasureAsync("", gateway, reference, options, async disturbance =>
        {
            for (int i = 0; i < options.Faults; i++)
            {
                ClusterStatus before = await gateway.WaitUntilSettledAsync(3);
                string name = $"silo-{i % 3}";
                lost.Add(before.Shards.Where(shard => shard.Silo == name).Sum(shard => shard.Held * shard.ExpertBytes / 1e6));
                disturbance.Note();
                await cluster.Silos[name].KillAsync();
                await disturbance.WaitForRoundAsync();
                await gateway.WaitUntilSettledAsync(2);
                await Cluster.WaitUntilReadyAsync(cluster.LaunchSilo(Host.Local, name, rate));
            }
        });

        // What was lost takes the two that are left its time; what the cluster adds to that is measured.
        double rateOfTwo = 2 * options.LoadBytesPerSecond / 1e6;
        return row with
        {
            Fault = string.Create(CultureInfo.InvariantCulture, $"kill -9, no replica; recovery beyond loading {lost.Min():0.0} to {lost.Max():0.0} MB at {rateOfTwo:0.#} MB/s"),
            Recoveries = [.. row.Recoveries.Zip(lost, (recovery, megabytes) => recovery - TimeSpan.FromSeconds(megabytes / rateOfTwo))],
        };
    }

    /// <summary>Two silos of which neither can hold all: while one is gone new work is refused with the reason, and what is under way waits.</summary>
    private static async Task<FaultRow> TooFewAsync(RunOptions options, Reference reference)
    {
        await using Cluster cluster = new(options.Model, Localhost);
        Gateway gateway = await StartAsync(cluster, 2, null, "--memory", options.HalfMemory);
        async Task<StreamedAnswer> Retry(int number)
        {
            while (true)
            {
                StreamedAnswer answer = await gateway.AskAsync(FaultRequest.Make(number, options.Tokens));
                if (answer.Error is null || answer.Status != StatusCode.Unavailable || answer.Tokens.Count > 0)
                    return answer;
                if (!answer.Error.Contains("silo", StringComparison.Ordinal))
                    return answer with { Error = $"A refusal that does not say why: {answer.Error}" };
                await Task.Delay(TimeSpan.FromMilliseconds(100));
            }
        }

        return await Measurement.RunAsync("kill -9, the rest cannot hold all", Retry, reference, options, disturbance => disturbance.RepeatAsync(
            i => cluster.Silos[$"silo-{i % 2}"].KillAsync(),
            async i =>
            {
                using (HttpResponseMessage response = await gateway.Http.PostAsync("/v1/completions", JsonContent.Create(new { prompt = "Hello", max_tokens = 1 })))
                {
                    if ((int)response.StatusCode != 503)
                        throw new InvalidOperationException($"New work got {(int)response.StatusCode}, not 503.");
                }

                await Cluster.WaitUntilReadyAsync(cluster.LaunchSilo(Host.Local, $"silo-{i % 2}"));
            }));
    }

    /// <summary>SIGSTOP: the silo is there and says nothing; then it goes on.</summary>
    private static async Task<FaultRow> FreezeAsync(RunOptions options, Reference reference)
    {
        await using Cluster cluster = new(options.Model, Localhost);
        Gateway gateway = await StartAsync(cluster, 3);
        return await MeasureAsync("SIGSTOP of a silo", gateway, reference, options, disturbance => disturbance.RepeatAsync(
            i =>
            {
                Cluster.Freeze(cluster.Silos[$"silo-{i % 3}"]);
                return Task.CompletedTask;
            },
            i =>
            {
                Cluster.Thaw(cluster.Silos[$"silo-{i % 3}"]);
                return Task.CompletedTask;
            }));
    }

    /// <summary>A silo joins and is given experts; then it leaves in order.</summary>
    private static async Task<FaultRow> JoinAndLeaveAsync(RunOptions options, Reference reference)
    {
        await using Cluster cluster = new(options.Model, Localhost);
        Gateway gateway = await StartAsync(cluster, 2);
        return await MeasureAsync("a silo joins, then leaves", gateway, reference, options, async disturbance =>
        {
            for (int i = 0; i < options.Faults; i++)
            {
                disturbance.Note();
                ChildProcess silo = cluster.LaunchSilo(Host.Local, $"late-{i}");
                await Cluster.WaitUntilReadyAsync(silo);
                await disturbance.WaitForRoundAsync();
                disturbance.Note();
                if (await silo.StopAsync(TimeSpan.FromSeconds(90)) is not 0 and int code)
                    throw new InvalidOperationException($"The silo left with exit code {code}: {silo.Errors}");
                await disturbance.WaitForRoundAsync();
            }
        });
    }

    /// <summary>Silos on this machine and a gateway, all ready.</summary>
    internal static async Task<Gateway> StartAsync(Cluster cluster, int silos, Func<int, string>? faults = null, params string[] siloOptions)
    {
        for (int i = 0; i < silos; i++)
            cluster.LaunchSilo(Host.Local, $"silo-{i}", faults?.Invoke(i) ?? "", siloOptions);
        Gateway gateway = cluster.LaunchGateway(Host.Local, "gateway");
        await Task.WhenAll(cluster.Silos.Values.Append(gateway.Process).Select(Cluster.WaitUntilReadyAsync));
        return gateway;
    }

    internal static Task<FaultRow> MeasureAsync(string fault, Gateway gateway, Reference reference, RunOptions options, Func<Disturbance, Task> disturb) =>
        Measurement.RunAsync(fault, number => gateway.AskAsync(FaultRequest.Make(number, options.Tokens)), reference, options, disturb);
}
