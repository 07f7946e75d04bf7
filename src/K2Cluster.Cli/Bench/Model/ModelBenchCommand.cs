using System.CommandLine;
using System.Globalization;
using K2Cluster.Checkpoint;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 bench model</c>: how fast a model computes here, without a gateway.</summary>
internal static class ModelBenchCommand
{
    private const string Default = "models/k2-nano";

    public static Command Create(IAnsiConsole console)
    {
        Option<string> model = new("--model") { Description = "The checkpoint's directory.", DefaultValueFactory = _ => Default, HelpName = "DIR" };
        Option<int> threads = CommandOptions.Count("--threads", "Threads that compute.", Environment.ProcessorCount, 4096);
        Option<string> prefill = CommandOptions.Counts("--prefill", "Lengths of prompts.", "64,512", 1 << 20);
        Option<int> chunk = CommandOptions.Count("--chunk", "Tokens of a prompt in one step.", 512, 8192);
        Option<string> batches = CommandOptions.Counts("--batch", "Sequences that decode together.", "1,2,4,8,16", 4096);
        Option<int> context = CommandOptions.Count("--context", "Tokens that each of them has already.", 64, 1 << 20);
        Option<int> steps = CommandOptions.Count("--steps", "Decode steps of a round.", 32, 1 << 20);
        Option<int> rounds = CommandOptions.Count("--rounds", "How often everything is measured, in turn; the median counts.", 3, 1000);
        Option<int> seed = CommandOptions.Count("--seed", "Of the tokens.", 1, int.MaxValue);
        Option<string> activations = CommandOptions.Activations();
        Option<string?> json = CommandOptions.JsonFile();
        Command command = new("model", "Measures a model in this process: prompt and decode tokens a second, and the share of the memory's speed.")
        {
            model, threads, prefill, chunk, batches, context, steps, rounds, seed, activations, json,
        };
        command.SetAction(async (parsed, _) => await RunAsync(
            new ModelBenchOptions(
                parsed.GetValue(model)!, parsed.GetValue(threads), CommandOptions.CountsOf(parsed.GetValue(prefill)!), parsed.GetValue(chunk), CommandOptions.CountsOf(parsed.GetValue(batches)!),
                parsed.GetValue(context), parsed.GetValue(steps), parsed.GetValue(rounds), parsed.GetValue(seed), parsed.GetValue(activations)!),
            parsed.GetValue(json),
            console));
        return command;
    }

    private static async Task<int> RunAsync(ModelBenchOptions options, string? file, IAnsiConsole console)
    {
        ResultFile.Check(file);
        MachineFacts machine = MachineFacts.Read();
        using Interrupt interrupt = new();
        ModelReport? report = null;
        try
        {
            await interrupt.RunAsync(cancellation => Task.Run(() => report = Measure(options, machine, console, cancellation), CancellationToken.None));
        }
        catch (OperationCanceledException)
        {
            throw new CommandException("The bench was cancelled: nothing is reported.");
        }

        Print(report!, console);
        ResultFile.Write(file, report!, ModelReportJson.Default.ModelReport);
        return report!.IsVoid ? throw new CommandException("VOID: something was faster than memory can be read. Give larger caches more to read, or an idle machine.") : 0;
    }

    private static ModelReport Measure(ModelBenchOptions options, MachineFacts machine, IAnsiConsole console, CancellationToken cancellation)
    {
        using ModelDirectory model = ModelDirectory.Open(options.Model);
        using ModelBench bench = new(model, options, cancellation);
        using ReadCeiling ceiling = new(ReadCeiling.BytesFor(machine), options.Threads);
        int measures = options.Rounds * (options.Prefill.Count + options.Batches.Count);
        return console.Progress().Start(context =>
        {
            ProgressTask task = context.AddTask("measures", maxValue: measures);
            return bench.Run(machine, ceiling, () => task.Increment(1), cancellation);
        });
    }

    private static void Print(ModelReport report, IAnsiConsole console)
    {
        ModelBenchOptions options = report.Options;
        console.WriteLine(report.Machine.ToString());
        console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{options.Model}: {options.Threads} threads, {options.CpuActivations} activations, chunks of {options.Chunk}, context {options.Context}, {options.Steps} steps, median of {options.Rounds} rounds; memory reads {report.ReadCeilingGBPerSecond:N1} GB/s ({report.ReadCeilingLoop})"));
        Table table = new() { Border = TableBorder.Rounded };
        table.AddColumn("");
        foreach (string column in new[] { "tokens/s", "min", "max", "MB a token", "% of read ceiling" })
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach (PrefillResult prefill in report.Prefill)
            Row($"prefill of {prefill.Tokens:N0}", prefill.TokensPerSecond, "", "");
        foreach (DecodeResult decode in report.Decode)
            Row($"decode, batch {decode.Batch}", decode.TokensPerSecond, decode.MegabytesPerToken.ToString("N1", CultureInfo.InvariantCulture), (100 * decode.ShareOfCeiling).ToString("N1", CultureInfo.InvariantCulture));
        console.Write(table);

        void Row(string name, Rounds rate, string bytes, string share) => table.AddRow(
            name, rate.Median.ToString("N1", CultureInfo.InvariantCulture), rate.Min.ToString("N1", CultureInfo.InvariantCulture), rate.Max.ToString("N1", CultureInfo.InvariantCulture), bytes, share);
    }
}
