using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;

namespace K2Cluster.Hosting;

/// <summary>
/// One line an entry: "10:48:14 warn K2Cluster.Cluster.Dispatcher: message (IOException: its message)".
/// Stack traces are for those who look for a bug: they show when K2Cluster logs at level debug.
/// </summary>
internal sealed class LogLine(bool stacks) : ConsoleFormatter(FormatterName)
{
    public const string FormatterName = "k2";

    public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        textWriter.Write(DateTime.Now.ToString("HH:mm:ss ", CultureInfo.InvariantCulture));
        textWriter.Write(Short(logEntry.LogLevel));
        textWriter.Write(logEntry.Category);
        textWriter.Write(": ");
        textWriter.Write(logEntry.Formatter(logEntry.State, logEntry.Exception).ReplaceLineEndings(" "));
        if (logEntry.Exception is not null)
        {
            if (stacks)
            {
                textWriter.WriteLine();
                textWriter.Write(logEntry.Exception.ToString());
            }
            else
            {
                textWriter.Write($" ({logEntry.Exception.GetType().Name}: {logEntry.Exception.Message.ReplaceLineEndings(" ")})");
            }
        }

        textWriter.WriteLine();
    }

    private static string Short(LogLevel level) => level switch
    {
        LogLevel.Trace => "trace ",
        LogLevel.Debug => "debug ",
        LogLevel.Information => "info ",
        LogLevel.Warning => "warn ",
        LogLevel.Error => "error ",
        _ => "fatal ",
    };
}
