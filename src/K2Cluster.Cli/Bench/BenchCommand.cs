using System.CommandLine;
using System.Globalization;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary>
/// <c>k2 bench</c>: measures kernels, a model in process, the fabric, or a gateway from a client of its HTTP API. Without a further word it
/// is <c>serve</c>.
/// </summary>
internal static class BenchCommand
{
    private const int DefaultConcurrency = 4;
    private const int MaxConcurrency = 4096;

    public static Command Create(IAnsiConsole console)
    {
        Command command = Serve("bench", "Measures kernels, a model, the fabric, or (without a further word, as with serve) a gateway.", console);
        command.Add(KernelBenchCommand.Create(console));
        command.Add(ModelBenchCommand.Create(console));
        command.Add(FabricBenchCommand.Create(console));
        command.Add(Serve("serve", "Measures a gateway: time to first token, time per output token, latencies, tokens per second.", console));
        return command;
    }

    private static Command Serve(string name, string description, IAnsiConsole console)
    {
        Option<Uri> url = CommandOptions.Address("--url", "The gateway's HTTP address.", "http://127.0.0.1:8080");
        Option<int> requests = CommandOptions.Count("--requests", "Requests to measure; one more goes before them.", 32, 1_000_000);
        requests.Aliases.Add("--prompts");
        Option<int?> concurrency = CommandOptions.Number("--concurrency", $"Requests under way at once, at most; {DefaultConcurrency} unless given, and without a limit where they arrive at a rate.", 1, MaxConcurrency);
        Option<double> rate = Rate();
        Option<int> maxTokens = CommandOptions.Count("--max-tokens", "Tokens that each generates; ends of text are ignored.", 64, 1_000_000);
        maxTokens.Aliases.Add("--output-len");
        Option<string> prompt = new("--prompt") { Description = "What each asks: the same text, which a prefix cache then has.", DefaultValueFactory = _ => "Count from one to one hundred:", HelpName = "TEXT" };
        Option<int?> inputLength = CommandOptions.Number("--input-len", "Random tokens that each asks instead, other ones each.", 1, 1 << 20);
        Option<int> seed = CommandOptions.Count("--seed", "Of random tokens and arrivals.", 1, int.MaxValue);
        Option<string?> json = CommandOptions.JsonFile();
        Command command = new(name, description) { url, requests, concurrency, rate, maxTokens, prompt, inputLength, seed, json };
        command.SetAction(async (parsed, _) =>
        {
            double? perSecond = parsed.GetValue(rate) is var given && double.IsFinite(given) ? given : null;
            int count = parsed.GetValue(requests);
            BenchOptions options = new(
                parsed.GetValue(url)!,
                count,
                parsed.GetValue(concurrency) ?? (perSecond is null ? DefaultConcurrency : Math.Min(count, MaxConcurrency)),
                parsed.GetValue(maxTokens),
                parsed.GetValue(prompt)!,
                parsed.GetValue(inputLength) ?? 0,
                perSecond,
                parsed.GetValue(seed));
            return await RunAsync(options, parsed.GetValue(json), console);
        });
        return command;
    }

    /// <summary>Requests a second; infinity for "inf".</summary>
    private static Option<double> Rate() => new("--request-rate")
    {
        DefaultValueFactory = _ => double.PositiveInfinity,
        Description = "Requests a second that arrive, by a Poisson process; inf for all at once.",
        HelpName = "N|inf",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (text == "inf")
                return double.PositiveInfinity;
            if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double rate) && rate is >= 0.001 and <= 1e6)
                return rate;
            result.AddError($"--request-rate {TerminalText.Of(text)}: requests a second from 0.001 to 1000000, or inf, are expected.");
            return 0;
        },
    };

    private static async Task<int> RunAsync(BenchOptions options, string? file, IAnsiConsole console)
    {
        ResultFile.Check(file);
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

        console.Write(new Spectre.Console.Text(BenchSummary.Of(report!)));
        ResultFile.Write(file, report!, BenchReportJson.Default.BenchReport);
        return report!.Failed == 0 ? 0 : throw new CommandException($"{report.Failed} of {report.Requests} requests failed; the first: {bench.FirstFailure}");
    }
}
