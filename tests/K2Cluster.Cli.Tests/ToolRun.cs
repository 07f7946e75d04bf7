using K2Cluster.Protocol.V1;
using Spectre.Console;

namespace K2Cluster.Cli.Tests;

/// <summary>Runs the tool in this process, as on a pipe.</summary>
internal static class ToolRun
{
    public static Task<(int Code, string Output, string Error)> RunAsync(params string[] args) => RunAsync(null, args);

    /// <param name="connect">Where operators' calls go instead of to gateways.</param>
    /// <param name="args">What the user typed.</param>
    public static async Task<(int Code, string Output, string Error)> RunAsync(Func<Uri, Admin.AdminClient>? connect, params string[] args)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Interactive = InteractionSupport.No, Out = new AnsiConsoleOutput(output) });
        int code = await K2Tool.RunAsync(args, console, error, connect);
        return (code, output.ToString(), error.ToString());
    }
}
