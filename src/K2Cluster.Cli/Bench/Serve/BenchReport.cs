using System.Text.Json;
using System.Text.Json.Serialization;

namespace K2Cluster.Cli;

/// <summary>What a serving bench measured. <see cref="TokensPerSecond"/> is of each request, after its first token.</summary>
internal sealed record BenchReport(
    string Url,
    string Model,
    int Requests,
    int Failed,
    int Concurrency,
    double? RequestRate,
    int InputLength,
    int MaxTokens,
    int Seed,
    long PromptTokens,
    long OutputTokens,
    double Seconds,
    double RequestsPerSecond,
    double OutputTokensPerSecond,
    double PeakOutputTokensPerSecond,
    double TotalTokensPerSecond,
    int PeakConcurrency,
    Spread? TimeToFirstTokenMs,
    Spread? TimePerOutputTokenMs,
    Spread? InterTokenLatencyMs,
    Spread? EndToEndMs,
    Spread? TokensPerSecond,
    MachineFacts Machine)
{
    public static BenchReport Of(BenchOptions options, string model, IReadOnlyList<MeasuredRequest> measured, int failed, TimeSpan elapsed, MachineFacts machine)
    {
        double[] perToken = [.. measured.Select(request => request.PerOutputToken).OfType<TimeSpan>().Select(time => time.TotalMilliseconds)];
        long outputTokens = measured.Sum(request => (long)request.OutputTokens);
        long promptTokens = measured.Sum(request => (long)request.PromptTokens);
        return new BenchReport(
            options.Url.ToString(),
            model,
            options.Requests,
            failed,
            options.Concurrency,
            options.RequestRate,
            options.InputLength,
            options.MaxTokens,
            options.Seed,
            promptTokens,
            outputTokens,
            elapsed.TotalSeconds,
            measured.Count / elapsed.TotalSeconds,
            outputTokens / elapsed.TotalSeconds,
            PeakTokens(measured),
            (promptTokens + outputTokens) / elapsed.TotalSeconds,
            PeakOf(measured),
            SpreadOf(measured.Select(request => request.FirstToken.TotalMilliseconds)),
            SpreadOf(perToken),
            SpreadOf(measured.SelectMany(request => request.BetweenPieces).Select(time => time.TotalMilliseconds)),
            SpreadOf(measured.Select(request => request.Ended.TotalMilliseconds)),
            SpreadOf(perToken.Where(time => time > 0).Select(time => 1000 / time)),
            machine);
    }

    public string ToJson() => JsonSerializer.Serialize(this, BenchReportJson.Default.BenchReport);

    /// <summary>The most tokens in one second of the run; a request's are shared evenly among its pieces.</summary>
    private static double PeakTokens(IReadOnlyList<MeasuredRequest> measured)
    {
        Dictionary<long, double> seconds = [];
        foreach (MeasuredRequest request in measured)
        {
            double each = (double)request.OutputTokens / request.Pieces.Count;
            foreach (TimeSpan piece in request.Pieces)
            {
                long second = (long)(request.Sent + piece).TotalSeconds;
                seconds[second] = seconds.GetValueOrDefault(second) + each;
            }
        }

        return seconds.Count == 0 ? 0 : seconds.Values.Max();
    }

    private static int PeakOf(IReadOnlyList<MeasuredRequest> measured)
    {
        int now = 0;
        int peak = 0;
        IEnumerable<(TimeSpan Time, int Change)> changes = measured.SelectMany(request => new[] { (request.Sent, 1), (request.Sent + request.Ended, -1) });
        foreach ((_, int change) in changes.OrderBy(change => change.Time).ThenBy(change => change.Change))
        {
            now += change;
            peak = Math.Max(peak, now);
        }

        return peak;
    }

    private static Spread? SpreadOf(IEnumerable<double> values)
    {
        double[] all = [.. values];
        return all.Length == 0 ? null : Spread.Of(all);
    }
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(BenchReport))]
internal sealed partial class BenchReportJson : JsonSerializerContext;
