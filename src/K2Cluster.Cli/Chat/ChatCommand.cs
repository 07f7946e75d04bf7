using System.CommandLine;
using System.Net.Sockets;
using Grpc.Core;
using K2Cluster.Client;
using K2Cluster.Protocol.V1;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 chat</c>: one answer when a prompt is given or piped in, else a conversation.</summary>
internal static class ChatCommand
{
    private const int PromptLimit = 4 << 20;

    /// <summary>Somebody waits: an answer that has begun may take its time to go on, one that cannot begin is told of at once.</summary>
    private static readonly K2ClientOptions Tries = new() { ConnectTimeout = TimeSpan.FromSeconds(10), StartPatience = TimeSpan.Zero };

    public static Command Create(IAnsiConsole console, TextWriter error)
    {
        Option<string> url = CommandOptions.Addresses("--url", "The gateway's gRPC address; of several, the next one goes on with an answer whose gateway dies.", "http://127.0.0.1:8081");
        Option<string> model = new("--model") { Description = "The model's name; the one that the gateway serves unless given.", DefaultValueFactory = _ => "", HelpName = "NAME" };
        Option<string?> system = new("--system") { Description = "A system message to begin with.", HelpName = "TEXT" };
        Option<int?> maxTokens = CommandOptions.Number("--max-tokens", "Most tokens of an answer, reasoning included.", 1, int.MaxValue);
        Option<double?> temperature = CommandOptions.Number("--temperature", "0 (always the likeliest) to 2; the model's own unless given.", 0.0, 2.0);
        Option<ulong?> seed = CommandOptions.Number("--seed", "Makes the answer repeatable.", 0UL, ulong.MaxValue);
        Argument<string?> prompt = new("PROMPT") { Description = "What to ask, once. Without it, and with nothing piped in, a conversation begins.", Arity = ArgumentArity.ZeroOrOne };
        prompt.Validators.Add(result =>
        {
            // A misspelt option would be asked of the model.
            if (result.Tokens is [{ Value: ['-', '-' or (>= 'a' and <= 'z'), ..] text }])
                result.AddError($"There is no option {text} (k2 chat --help lists them). To ask just that, pipe it in.");
        });
        Command command = new("chat", "Chats with a gateway. Ctrl-C ends an answer, a second time the tool. Piped output has the answer only, no reasoning.")
        {
            url, model, system, maxTokens, temperature, seed, prompt,
        };
        command.SetAction(async (parsed, _) =>
        {
            GenerationOptions options = new();
            if (parsed.GetValue(maxTokens) is int tokens)
                options.MaxTokens = (uint)tokens;
            if (parsed.GetValue(temperature) is double degree)
                options.Temperature = (float)degree;
            if (parsed.GetValue(seed) is ulong number)
                options.Seed = number;

            Uri[] addresses = CommandOptions.AddressesOf(parsed.GetValue(url)!);
            using K2Client client = new(addresses, Tries);
            ChatSession session = new((request, cancellation) => client.ChatAsync(request, cancellationToken: cancellation), parsed.GetValue(model)!, options, parsed.GetValue(system));
            AnswerPrinter printer = new(console.Profile.Out.Writer, console.Profile.Out.IsTerminal, console.Profile.Capabilities.Ansi);
            using Interrupt interrupt = new();

            string? question = parsed.GetValue(prompt) ?? (Console.IsInputRedirected ? await ReadPromptAsync(Console.In) : null);
            if (question is not null)
                await AskAsync(session, question, printer, interrupt, addresses);
            else
                await ConverseAsync(session, printer, interrupt, addresses, console, error);
        });
        return command;
    }

    private static async Task ConverseAsync(ChatSession session, AnswerPrinter printer, Interrupt interrupt, Uri[] addresses, IAnsiConsole console, TextWriter error)
    {
        console.MarkupLine("[dim]/new begins anew, /exit ends, Ctrl-C ends an answer.[/]");
        while (true)
        {
            console.Markup("[bold]> [/]");
            string? line = Console.ReadLine();
            if (line is null or "/exit")
                return;
            if (line == "/new")
                session.Restart();
            else if (line.Length > 0)
            {
                try
                {
                    await AskAsync(session, line, printer, interrupt, addresses);
                }
                catch (CommandException failure)
                {
                    error.WriteLine(failure.Message);
                }
            }
        }
    }

    private static async Task AskAsync(ChatSession session, string question, AnswerPrinter printer, Interrupt interrupt, Uri[] addresses)
    {
        try
        {
            await interrupt.RunAsync(cancellation => session.AskAsync(question, printer, cancellation));
        }
        catch (Exception failure) when (failure is OperationCanceledException or RpcException { StatusCode: StatusCode.Cancelled })
        {
            printer.Note("(cancelled)");
            printer.End();
        }
        catch (RpcException failure)
        {
            throw new CommandException(Explain(failure, string.Join<Uri>(", ", addresses)));
        }
    }

    // A status of the gateway's own has no exception under it; one that the channel made up does.
    private static string Explain(RpcException failure, string addresses) => failure.Status.DebugException is HttpRequestException or SocketException or IOException or OperationCanceledException
        ? $"No gateway answers at {addresses} ({TerminalText.Of(failure.Status.DebugException.Message)}). Start one with: dotnet run -c Release --project gateway; or give its gRPC address with --url."
        : $"The gateway at {addresses} refused: {TerminalText.Of(failure.Status.Detail)} ({failure.StatusCode}).";

    /// <exception cref="CommandException">Nothing came, or too much.</exception>
    private static async Task<string> ReadPromptAsync(TextReader input)
    {
        char[] buffer = new char[PromptLimit + 1];
        int length = await input.ReadBlockAsync(buffer);
        if (length > PromptLimit)
            throw new CommandException($"The piped prompt is longer than {PromptLimit:N0} characters.");
        string prompt = new string(buffer, 0, length).Trim();
        return prompt.Length > 0 ? prompt : throw new CommandException("Nothing was piped in. Give a prompt: k2 chat \"Hello\".");
    }
}
