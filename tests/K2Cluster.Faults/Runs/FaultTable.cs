using System.Globalization;
using System.Text;

namespace K2Cluster.Faults.Runs;

/// <summary>The rows as Markdown.</summary>
internal static class FaultTable
{
    public const string Head = """
        | fault | times | in flight | requests | failed | differing | added p50 | added p99 | worst added gap | recovery p50 / p99 |
        |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
        """;

    public static string Line(FaultRow row) => string.Create(
        CultureInfo.InvariantCulture,
        $"| {row.Fault} | {row.Faults} | {row.InFlight} | {row.Requests} | {row.Failed} | {row.Differing} | {Text(row.AddedMedian)} | {Text(row.Added99)} | {Text(row.AddedGap)} | {Text(row.Recoveries.At(0.5))} / {Text(row.Recoveries.At(0.99))} |");

    public static string Text(IEnumerable<FaultRow> rows)
    {
        StringBuilder text = new(Head);
        foreach (FaultRow row in rows)
            text.Append('\n').Append(Line(row));
        return text.Append('\n').ToString();
    }

    private static string Text(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{Math.Max(0, time.TotalSeconds):0.00} s");
}
