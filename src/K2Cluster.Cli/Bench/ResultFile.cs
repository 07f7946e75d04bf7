using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace K2Cluster.Cli;

/// <summary>The file of <c>--json</c>.</summary>
internal static class ResultFile
{
    /// <exception cref="CommandException">The file cannot be written.</exception>
    public static async Task WriteAsync<T>(string? file, T report, JsonTypeInfo<T> type)
    {
        if (file is null)
            return;
        try
        {
            await File.WriteAllTextAsync(file, JsonSerializer.Serialize(report, type) + "\n");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new CommandException($"{file}: cannot be written: {failure.Message}");
        }
    }
}
