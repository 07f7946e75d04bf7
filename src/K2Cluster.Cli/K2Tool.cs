using System.CommandLine;
using System.CommandLine.Invocation;
using K2Cluster.Checkpoint;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary>The command line. Exit codes: 0 done, 1 failed with one message, 2 wrong usage.</summary>
internal static class K2Tool
{
    private const int Failed = 1;
    private const int WrongUsage = 2;

    public static async Task<int> RunAsync(string[] args, IAnsiConsole console, TextWriter error)
    {
        RootCommand root = new("k2 looks at checkpoints, makes them up, talks to a K2Cluster gateway and measures it.")
        {
            InspectCommand.Create(console),
            SynthCommand.Create(console),
            ChatCommand.Create(console, error),
            BenchCommand.Create(console),
            GpuCheckCommand.Create(console, error),
        };
        // Nobody's screen limits a pipe: lines are not to be broken for it.
        if (!console.Profile.Out.IsTerminal)
            console.Profile.Width = 240;

        ParseResult parsed = root.Parse(args);
        if (parsed.Action is ParseErrorAction wrongUsage)
            wrongUsage.ShowHelp = args.Length == 0;
        InvocationConfiguration configuration = new()
        {
            Output = console.Profile.Out.Writer,
            Error = error,
            EnableDefaultExceptionHandler = false,
            // Commands listen for Ctrl-C themselves: it ends an answer before it ends the tool.
            ProcessTerminationTimeout = null,
        };
        try
        {
            int code = await parsed.InvokeAsync(configuration);
            return parsed.Errors.Count > 0 ? WrongUsage : code;
        }
        catch (Exception failure) when (failure is CommandException or CheckpointException)
        {
            error.WriteLine(failure.Message);
            return Failed;
        }
    }
}
