using System.Globalization;
using System.Text;

namespace K2Cluster.Cli;

/// <summary>The report as <c>vllm bench serve</c> lays it out, line by line, so that scripts that read the one read the other.</summary>
internal static class BenchSummary
{
    private const int Width = 50;

    public static string Of(BenchReport report)
    {
        StringBuilder text = new();
        Title(" Serving Benchmark Result ", '=');
        Count("Successful requests:", report.Requests - report.Failed);
        Count("Failed requests:", report.Failed);
        Count("Maximum request concurrency:", report.Concurrency);
        if (report.RequestRate is double rate)
            Number("Request rate configured (RPS):", rate);
        Number("Benchmark duration (s):", report.Seconds);
        Count("Total input tokens:", report.PromptTokens);
        Count("Total generated tokens:", report.OutputTokens);
        Number("Request throughput (req/s):", report.RequestsPerSecond);
        Number("Output token throughput (tok/s):", report.OutputTokensPerSecond);
        Number("Peak output token throughput (tok/s):", report.PeakOutputTokensPerSecond);
        Number("Peak concurrent requests:", report.PeakConcurrency);
        Number("Total token throughput (tok/s):", report.TotalTokensPerSecond);
        Times("Time to First Token", "TTFT", report.TimeToFirstTokenMs);
        Times("Time per Output Token (excl. 1st token)", "TPOT", report.TimePerOutputTokenMs);
        Times("Inter-token Latency", "ITL", report.InterTokenLatencyMs);
        Times("End-to-end Latency", "E2EL", report.EndToEndMs);
        Title("", '=');
        return text.ToString();

        void Times(string name, string unit, Spread? spread)
        {
            Title(name, '-');
            Number($"Mean {unit} (ms):", spread?.Mean ?? 0);
            Number($"Median {unit} (ms):", spread?.P50 ?? 0);
            Number($"P99 {unit} (ms):", spread?.P99 ?? 0);
        }

        void Count(string name, long value) => Line(name, value.ToString(CultureInfo.InvariantCulture));

        void Number(string name, double value) => Line(name, value.ToString("F2", CultureInfo.InvariantCulture));

        void Line(string name, string value) => text.Append(CultureInfo.InvariantCulture, $"{name,-40} {value,-10}").Append('\n');

        // Centred; what is left over goes to the right.
        void Title(string name, char fill)
        {
            int left = (Width - name.Length) / 2;
            text.Append(fill, left).Append(name).Append(fill, Width - name.Length - left).Append('\n');
        }
    }
}
