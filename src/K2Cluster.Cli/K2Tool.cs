using System.CommandLine;
using System.CommandLine.Invocation;
using K2Cluster.Checkpoint;
using K2Cluster.Cluster;
using K2Cluster.Hosting;
using K2Cluster.Protocol.V1;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary>The command line. Exit codes: 0 done, 1 failed with one message, 2 wrong usage.</summary>
internal static class K2Tool
{
    private const int Failed = 1;
    private const int WrongUsage = 2;

    /// <param name="args">What the user typed.</param>
    /// <param name="console">For results.</param>
    /// <param name="error">For messages.</param>
    /// <param name="connect">Where operators' calls go; null: to gateways.</param>
    public static async Task<int> RunAsync(string[] args, IAnsiConsole console, TextWriter error, Func<Uri, Admin.AdminClient>? connect = null)
    {
        RootCommand root = new("k2 looks at checkpoints, makes them up, plans clusters for them, talks to a K2Cluster gateway, measures it, and runs its cluster.")
        {
            InspectCommand.Create(console),
            SynthCommand.Create(console),
            ChatCommand.Create(console, error),
            BenchCommand.Create(console),
            PlanCommand.Create(console),
            ClusterCommand.Create(console, error, connect ?? GatewayConnection.Connect, TimeProvider.System),
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
        catch (K2OptionsException wrong)
        {
            error.WriteLine(wrong.Message);
            return WrongUsage;
        }
        catch (Exception failure) when (failure is CommandException or CheckpointException or ClusterException or K2FailureException)
        {
            error.WriteLine(failure.Message);
            return Failed;
        }
    }
}
