using System.CommandLine;
using System.Globalization;
using K2Cluster.Faults.Runs;
using K2Cluster.Faults.Scenarios;
using K2Cluster.Tests;

// The long version: dotnet run -c Release --project tests/K2Cluster.Faults -- --help
Option<string[]> names = new("--scenario") { Description = $"Which: {string.Join(", ", Scenario.All.Select(scenario => scenario.Name))}. Default: all.", AllowMultipleArgumentsPerToken = true };
Option<string> model = new("--model") { Description = "The checkpoint that is served.", DefaultValueFactory = _ => Repository.Path("models", "k2-nano") };
Option<int> requests = new("--requests") { Description = "Requests of each scenario, at least.", DefaultValueFactory = _ => 1000 };
Option<int> atOnce = new("--at-once") { Description = "Requests under way at any time.", DefaultValueFactory = _ => 16 };
Option<int> tokens = new("--tokens") { Description = "Tokens of each request.", DefaultValueFactory = _ => 64 };
Option<int> faults = new("--faults") { Description = "Faults of each scenario.", DefaultValueFactory = _ => 20 };
Option<double> length = new("--length") { Description = "Seconds that a fault lasts, and between two.", DefaultValueFactory = _ => 5 };
Option<string> halfMemory = new("--half-memory") { Description = "Of a silo, where two must hold all experts: as --memory of the silo.", DefaultValueFactory = _ => "480KiB" };
Option<double> loadRate = new("--load-rate") { Description = "There: MB/s at which a silo reads experts.", DefaultValueFactory = _ => 0.4 };
Option<double?> scaling = new("--scaling") { Description = "Instead of faults: throughput by silos, with devices that compute so many (row, expert) pairs a second." };
Option<string?> output = new("--output") { Description = "A file that the table is written to, too." };
RootCommand command = new("Disturbs real clusters under load and compares every token with an undisturbed run.") { names, model, requests, atOnce, tokens, faults, length, halfMemory, loadRate, scaling, output };
command.SetAction(async (result, cancellation) =>
{
    RunOptions options = new()
    {
        Model = Path.GetFullPath(result.GetValue(model)!),
        Requests = result.GetValue(requests),
        AtOnce = result.GetValue(atOnce),
        Tokens = result.GetValue(tokens),
        Faults = result.GetValue(faults),
        Length = TimeSpan.FromSeconds(result.GetValue(length)),
        HalfMemory = result.GetValue(halfMemory)!,
        LoadBytesPerSecond = result.GetValue(loadRate) * 1e6,
    };
    if (result.GetValue(scaling) is { } pairs)
    {
        await Scaling.RunAsync(options, pairs, Console.WriteLine);
        return 0;
    }

    Scenario[] scenarios = [.. Scenario.All.Where(scenario => result.GetValue(names) is not { Length: > 0 } chosen || chosen.Contains(scenario.Name))];
    Reference reference = await Reference.MakeAsync(options);
    Console.WriteLine(FaultTable.Head);
    List<FaultRow> rows = [];
    foreach (Scenario scenario in scenarios)
    {
        if (scenario.Lacks is { } lacking)
        {
            Console.WriteLine($"{scenario.Name} is left out: it takes {lacking}.");
            continue;
        }

        FaultRow row = await scenario.RunAsync(options, reference);
        rows.Add(row);
        Console.WriteLine(FaultTable.Line(row));
        Console.WriteLine($"  recoveries: {string.Join(" ", row.Recoveries.Select(time => time.TotalSeconds.ToString("0.00", CultureInfo.InvariantCulture)))} s");
        if (row.Problem is not null)
            Console.WriteLine($"  {row.Problem}");
    }

    if (result.GetValue(output) is { } file)
        await File.WriteAllTextAsync(file, string.Create(CultureInfo.InvariantCulture, $"{DateTime.UtcNow:yyyy-MM-dd}\n\n{FaultTable.Text(rows)}"), cancellation);
    return rows.All(row => row is { Failed: 0, Differing: 0 }) ? 0 : 1;
});
return await command.Parse(args).InvokeAsync();
