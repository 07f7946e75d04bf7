using K2Cluster.Cli;
using Spectre.Console;

return await K2Tool.RunAsync(args, AnsiConsole.Console, Console.Error);
