using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 bench fabric</c>: what a call over the data plane takes, beside a plain blocking TCP echo of the same bytes.</summary>
internal static class FabricBenchCommand
{
    public static Command Create(IAnsiConsole console)
    {
        Option<int> bytes = CommandOptions.Count("--bytes", "Of payload, each way; a row of Kimi K2 has 14336.", 14_336, 16 << 20);
        Option<int> calls = CommandOptions.Count("--calls", "Of each way in a round, one after the other.", 2_000, 10_000_000);
        Option<int> rounds = CommandOptions.Count("--rounds", "How often each way has its turn.", 10, 1000);
        Option<string?> json = CommandOptions.JsonFile();
        Command command = new("fabric", "Measures round trips of the data plane on loopback beside a plain blocking TCP echo, without and with TLS.") { bytes, calls, rounds, json };
        command.SetAction(async (parsed, _) => await RunAsync(
            new FabricBenchOptions(parsed.GetValue(bytes), parsed.GetValue(calls), parsed.GetValue(rounds)), parsed.GetValue(json), console));
        return command;
    }

    private static async Task<int> RunAsync(FabricBenchOptions options, string? file, IAnsiConsole console)
    {
        ResultFile.Check(file);
        MachineFacts machine = MachineFacts.Read();
        using Interrupt interrupt = new();
        FabricReport? report = null;
        try
        {
            await interrupt.RunAsync(cancellation => Task.Run(
                () =>
                {
                    using FabricBench bench = new(options);
                    report = bench.Run(machine, cancellation);
                },
                CancellationToken.None));
        }
        catch (OperationCanceledException)
        {
            throw new CommandException("The bench was cancelled: nothing is reported.");
        }

        Print(report!, console);
        ResultFile.Write(file, report!, FabricReportJson.Default.FabricReport);
        return 0;
    }

    private static void Print(FabricReport report, IAnsiConsole console)
    {
        FabricBenchOptions options = report.Options;
        console.WriteLine(report.Machine.ToString());
        console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{options.Bytes} bytes each way on loopback, {options.Rounds} rounds of {options.Calls} calls of each way in turn"));
        Table table = new() { Border = TableBorder.Rounded };
        table.AddColumn("");
        foreach (string column in new[] { "p50 µs", "p99 µs", "p50 to the echo's", "bytes allocated a call" })
            table.AddColumn(new TableColumn(column).RightAligned());
        foreach (FabricResult way in report.Ways)
            table.AddRow(way.Way, Show(way.Microseconds.P50, "N1"), Show(way.Microseconds.P99, "N1"), Show(way.RatioToEcho, "N2"), Show(way.AllocatedBytesPerCall, "N1"));
        console.Write(table);

        static string Show(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
    }
}
