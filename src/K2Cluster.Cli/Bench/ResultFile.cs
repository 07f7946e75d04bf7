using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace K2Cluster.Cli;

/// <summary>The file of <c>--json</c>.</summary>
internal static class ResultFile
{
    /// <summary>Before minutes are spent on measuring. What is in the file is left as it is.</summary>
    /// <exception cref="CommandException">The file cannot be written.</exception>
    public static void Check(string? file)
    {
        if (file is null)
            return;
        bool exists = Path.Exists(file);
        Try(file, () =>
        {
            using (new FileStream(file, FileMode.OpenOrCreate, FileAccess.Write, FileShare.ReadWrite))
            {
            }

            if (!exists)
                File.Delete(file);
        });
    }

    /// <exception cref="CommandException">The file cannot be written.</exception>
    public static void Write<T>(string? file, T report, JsonTypeInfo<T> type)
    {
        if (file is not null)
            Try(file, () => File.WriteAllText(file, JsonSerializer.Serialize(report, type) + "\n"));
    }

    private static void Try(string file, Action use)
    {
        try
        {
            use();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new CommandException($"{TerminalText.Of(file)}: cannot be written: {TerminalText.Of(failure.Message)}");
        }
    }
}
