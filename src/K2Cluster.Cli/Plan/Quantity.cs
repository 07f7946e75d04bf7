using System.Globalization;
using System.Text.RegularExpressions;

namespace K2Cluster.Cli;

/// <summary>Amounts as people write them: 80GiB, 3.35TB/s, 10Gb/s (bits), 100us.</summary>
internal static partial class Quantity
{
    /// <summary>Bytes a second; what is slower is a slip of the pen.</summary>
    private const double LeastRate = 1000;

    public static bool TryBytes(string text, out double bytes)
    {
        Match match = BytesPattern().Match(text);
        bytes = match.Success ? Value(match) : 0;
        return bytes > 0;
    }

    /// <summary>1KB/s or more.</summary>
    public static bool TryRate(string text, out double bytesPerSecond)
    {
        bytesPerSecond = 0;
        if (!text.EndsWith("/s", StringComparison.Ordinal))
            return false;
        Match match = BytesPattern().Match(text[..^2]);
        if (match.Success)
            bytesPerSecond = Value(match);
        else if (BitsPattern().Match(text[..^2]) is { Success: true } bits)
            bytesPerSecond = Value(bits) / 8;
        return bytesPerSecond >= LeastRate;
    }

    public static bool TryDuration(string text, out TimeSpan duration)
    {
        Match match = DurationPattern().Match(text);
        double seconds = match.Success ? Number(match) * match.Groups["unit"].Value switch { "us" => 1e-6, "ms" => 1e-3, _ => 1 } : -1;
        duration = seconds is >= 0 and < 60 ? TimeSpan.FromSeconds(seconds) : default;
        return seconds is >= 0 and < 60;
    }

    public static string OfBytes(double bytes) => bytes switch
    {
        >= 1e12 => Write(bytes / 1e12, "TB"),
        >= 1e9 => Write(bytes / 1e9, "GB"),
        >= 1e6 => Write(bytes / 1e6, "MB"),
        _ => Write(bytes / 1e3, "KB"),
    };

    public static string OfTime(TimeSpan time) => time switch
    {
        { TotalSeconds: >= 100 } => Write(time.TotalMinutes, "min"),
        { TotalSeconds: >= 1 } => Write(time.TotalSeconds, "s"),
        { TotalMilliseconds: >= 1 } => Write(time.TotalMilliseconds, "ms"),
        _ => Write(time.TotalMicroseconds, "µs"),
    };

    private static string Write(double value, string unit) => $"{value.ToString(value < 10 ? "0.##" : "#,0.#", CultureInfo.InvariantCulture)} {unit}";

    private static double Value(Match match)
    {
        double thousand = match.Groups["i"].Success ? 1024 : 1000;
        return Number(match) * Math.Pow(thousand, "KMGT".IndexOf(char.ToUpperInvariant(match.Groups["unit"].Value[0])) + 1);
    }

    private static double Number(Match match) => double.Parse(match.Groups["number"].Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^(?<number>\d{1,9}(\.\d{1,9})?) ?(?<unit>[kKMGT])(?<i>i)?B$")]
    private static partial Regex BytesPattern();

    [GeneratedRegex(@"^(?<number>\d{1,9}(\.\d{1,9})?) ?(?<unit>[kKMGT])b(it)?$")]
    private static partial Regex BitsPattern();

    [GeneratedRegex(@"^(?<number>\d{1,9}(\.\d{1,9})?) ?(?<unit>us|ms|s)$")]
    private static partial Regex DurationPattern();
}
