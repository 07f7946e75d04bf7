using Spectre.Console;

namespace K2Cluster.Cli.Tests;

/// <summary>Runs the tool in this process, as on a pipe.</summary>
internal static class ToolRun
{
    public static async Task<(int Code, string Output, string Error)> RunAsync(params string[] args)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Interactive = InteractionSupport.No, Out = new AnsiConsoleOutput(output) });
        int code = await K2Tool.RunAsync(args, console, error);
        return (code, output.ToString(), error.ToString());
    }
}
