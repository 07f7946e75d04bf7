using System.CommandLine;
using System.Globalization;
using K2Cluster.Checkpoint.Synthetic;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 bench kernels</c>: how near the kernels come to the speed that memory is read at.</summary>
internal static class KernelBenchCommand
{
    public static Command Create(IAnsiConsole console)
    {
        ShapeOptions shape = new();
        Option<int> threads = CommandOptions.Count("--threads", "Threads that compute.", Environment.ProcessorCount, 4096);
        Option<string> rows = CommandOptions.Counts("--rows", "Rows that share a reading of the weights.", "1,2,4,8,16,64", 4096);
        Option<int> rounds = CommandOptions.Count("--rounds", "How often everything is measured, in turn; the median counts.", 5, 1000);
        Option<int?> megabytes = CommandOptions.Number("--megabytes", "Of weights that each kernel goes round, and of the read ceiling; four times the last-level cache unless given.", 1, 1 << 20);
        Option<string> activations = CommandOptions.Activations();
        Option<string?> json = CommandOptions.JsonFile();
        Command command = new("kernels", "Measures the CPU kernels: GB/s of weights by rows, beside what memory can be read at in the same run.");
        shape.AddTo(command);
        foreach (Option option in new Option[] { threads, rows, rounds, megabytes, activations, json })
            command.Add(option);
        command.SetAction(async (parsed, _) => await RunAsync(
            shape.Read(parsed),
            new KernelBenchOptions(shape.NameOf(parsed), parsed.GetValue(threads), CommandOptions.CountsOf(parsed.GetValue(rows)!), parsed.GetValue(rounds), parsed.GetValue(megabytes) ?? 0, parsed.GetValue(activations)!),
            parsed.GetValue(json),
            console));
        return command;
    }

    private static async Task<int> RunAsync(SyntheticShape shape, KernelBenchOptions options, string? file, IAnsiConsole console)
    {
        ResultFile.Check(file);
        MachineFacts machine = MachineFacts.Read();
        using Interrupt interrupt = new();
        KernelReport? report = null;
        try
        {
            await interrupt.RunAsync(cancellation => Task.Run(() => report = Measure(shape, options, machine, console, cancellation), CancellationToken.None));
        }
        catch (OperationCanceledException)
        {
            throw new CommandException("The bench was cancelled: nothing is reported.");
        }

        Print(report!, console);
        ResultFile.Write(file, report!, KernelReportJson.Default.KernelReport);
        return report!.IsVoid ? throw new CommandException("VOID: something was faster than memory can be read. Give more --megabytes, or an idle machine.") : 0;
    }

    private static KernelReport Measure(SyntheticShape shape, KernelBenchOptions options, MachineFacts machine, IAnsiConsole console, CancellationToken cancellation)
    {
        long bytes = options.Megabytes > 0 ? options.Megabytes * 1_000_000L : ReadCeiling.BytesFor(machine);
        // Experts, matrices and the ceiling's own.
        if (3 * bytes > machine.MemoryBytes)
            throw new CommandException($"The bench takes {3 * bytes:N0} bytes of memory and {machine.MemoryBytes:N0} are there: give less with --megabytes.");
        using KernelBench bench = new(shape, options, bytes);
        using ReadCeiling ceiling = new(bytes, options.Threads);
        return console.Progress().Start(context =>
        {
            ProgressTask task = context.AddTask("measures", maxValue: options.Rounds * options.Rows.Count);
            return bench.Run(machine, ceiling, () => task.Increment(1), cancellation);
        });
    }

    private static void Print(KernelReport report, IAnsiConsole console)
    {
        console.WriteLine(report.Machine.ToString());
        console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{report.Options.Shape}: {report.Options.Threads} threads, {report.Options.CpuActivations} activations, median of {report.Options.Rounds} rounds; memory reads {report.ReadCeilingGBPerSecond:N1} GB/s ({report.ReadCeilingLoop})"));
        Table table = new() { Border = TableBorder.Rounded };
        table.AddColumn("");
        foreach (string column in new[] { "rows", "GB/s", "min", "max", "% of read ceiling" })
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach (KernelResult kernel in report.Kernels)
        {
            table.AddRow(
                kernel.Kernel, kernel.Rows.ToString(CultureInfo.InvariantCulture), Show(kernel.GBPerSecond.Median), Show(kernel.GBPerSecond.Min), Show(kernel.GBPerSecond.Max), Show(100 * kernel.ShareOfCeiling));
        }

        console.Write(table);

        static string Show(double value) => value.ToString("N1", CultureInfo.InvariantCulture);
    }
}
