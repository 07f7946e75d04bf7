using System.CommandLine;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 bench</c>: how fast a gateway serves, seen from a client of its HTTP API.</summary>
internal static class BenchCommand
{
    public static Command Create(IAnsiConsole console)
    {
        Option<Uri> url = CommandOptions.Address("--url", "The gateway's HTTP address.", "http://127.0.0.1:8080");
        Option<int> requests = CommandOptions.Count("--requests", "Requests to measure; one more goes before them.", 32, 1_000_000);
        Option<int> concurrency = CommandOptions.Count("--concurrency", "Requests under way at once.", 4, 4096);
        Option<int> maxTokens = CommandOptions.Count("--max-tokens", "Tokens that each generates; ends of text are ignored.", 64, 1_000_000);
        Option<string> prompt = new("--prompt") { Description = "What each asks.", DefaultValueFactory = _ => "Count from one to one hundred:", HelpName = "TEXT" };
        Option<string?> json = new("--json") { Description = "A file to write the result to.", HelpName = "FILE" };
        Command command = new("bench", "Measures a gateway: time to first token, time per output token, tokens per second.")
        {
            url, requests, concurrency, maxTokens, prompt, json,
        };
        command.Add(KernelBenchCommand.Create(console));
        command.Add(ModelBenchCommand.Create(console));
        command.SetAction(async (parsed, _) =>
        {
            BenchOptions options = new(parsed.GetValue(url)!, parsed.GetValue(requests), parsed.GetValue(concurrency), parsed.GetValue(maxTokens), parsed.GetValue(prompt)!);
            return await RunAsync(options, parsed.GetValue(json), console);
        });
        return command;
    }

    private static async Task<int> RunAsync(BenchOptions options, string? file, IAnsiConsole console)
    {
        using SocketsHttpHandler handler = new() { MaxConnectionsPerServer = options.Concurrency, ConnectTimeout = TimeSpan.FromSeconds(10) };
        using HttpClient http = new(handler) { BaseAddress = options.Url, MaxResponseContentBufferSize = 1 << 20 };
        using Interrupt interrupt = new();
        Bench bench = new(http, options);
        BenchReport? report = null;
        try
        {
            await interrupt.RunAsync(async cancellation => report = await console.Progress().StartAsync(async context =>
            {
                ProgressTask task = context.AddTask("requests", maxValue: options.Requests);
                return await bench.RunAsync(() => task.Increment(1), cancellation);
            }));
        }
        catch (OperationCanceledException)
        {
            throw new CommandException("The bench was cancelled: nothing is reported.");
        }
        catch (HttpRequestException failure)
        {
            throw new CommandException($"{options.Url}: {TerminalText.Of(failure.Message)}");
        }

        console.WriteLine($"{TerminalText.Of(report!.Model)}: {report.Requests - report.Failed} requests, {report.Concurrency} at once, {report.OutputTokens:N0} tokens in {report.Seconds:N2} s");
        console.Write(TableOf(report));
        if (file is not null)
            await WriteAsync(file, report);
        return report.Failed == 0 ? 0 : throw new CommandException($"{report.Failed} of {report.Requests} requests failed; the first: {bench.FirstFailure}");
    }

    private static Table TableOf(BenchReport report)
    {
        Table table = new() { Border = TableBorder.Rounded };
        table.AddColumn("");
        foreach (string column in new[] { "mean", "p50", "p99" })
            table.AddColumn(new TableColumn(column).RightAligned());
        Row("time to first token, ms", report.TimeToFirstTokenMs);
        Row("time per output token, ms", report.TimePerOutputTokenMs);
        Row("tokens/s of a request", report.TokensPerSecond);
        table.AddRow("output tokens/s of all", report.OutputTokensPerSecond.ToString("N1"), "", "");
        return table;

        void Row(string name, Spread? spread) => table.AddRow(name, Show(spread?.Mean), Show(spread?.P50), Show(spread?.P99));

        static string Show(double? value) => value?.ToString("N2") ?? "-";
    }

    private static async Task WriteAsync(string file, BenchReport report)
    {
        try
        {
            await File.WriteAllTextAsync(file, report.ToJson() + "\n");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{file}: cannot be written: {failure.Message}");
        }
    }
}
