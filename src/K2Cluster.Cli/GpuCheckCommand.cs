using System.CommandLine;
using K2Cluster.GpuCheck;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 gpu-check</c>: whether a card computes what it should, and how fast.</summary>
internal static class GpuCheckCommand
{
    private const int MostDevices = 64;

    public static Command Create(IAnsiConsole console, TextWriter error)
    {
        Option<int?> device = CommandOptions.Number("--device", CheckOptions.DeviceHelp, 0, MostDevices);
        Option<bool> quick = new("--quick") { Description = CheckOptions.QuickHelp };
        Option<string?> output = new("--output") { Description = CheckOptions.OutputHelp, HelpName = "DIR" };
        Command command = new("gpu-check", "Verifies every GPU kernel against the CPU on this machine's card, and measures it.") { device, quick, output };
        command.SetAction(async (parsed, _) =>
        {
            CheckOptions options = new(parsed.GetValue(device) ?? 0, parsed.GetValue(quick), parsed.GetValue(output));
            using Interrupt interrupt = new();
            int code = 1;
            await interrupt.RunAsync(cancellation => Task.Run(() => code = CardCheck.Run(options, console.Profile.Out.Writer, error, cancellation), CancellationToken.None));
            return code;
        });
        return command;
    }
}
