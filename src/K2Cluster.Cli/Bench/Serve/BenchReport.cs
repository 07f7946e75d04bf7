using System.Text.Json;
using System.Text.Json.Serialization;

namespace K2Cluster.Cli;

/// <summary>What a bench measured. <see cref="TokensPerSecond"/> is of each request, after its first token.</summary>
internal sealed record BenchReport(
    string Url,
    string Model,
    int Requests,
    int Failed,
    int Concurrency,
    int MaxTokens,
    long PromptTokens,
    long OutputTokens,
    double Seconds,
    double OutputTokensPerSecond,
    Spread? TimeToFirstTokenMs,
    Spread? TimePerOutputTokenMs,
    Spread? TokensPerSecond)
{
    public string ToJson() => JsonSerializer.Serialize(this, BenchReportJson.Default.BenchReport);
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(BenchReport))]
internal sealed partial class BenchReportJson : JsonSerializerContext;
