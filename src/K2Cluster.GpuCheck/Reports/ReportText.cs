using System.Globalization;
using System.Text;

namespace K2Cluster.GpuCheck.Reports;

/// <summary>A report as Markdown whose tables can be read as they are.</summary>
internal static class ReportText
{
    public static string Of(CheckReport report)
    {
        StringBuilder text = new();
        CardFacts card = report.Card;
        Line(text, $"# {card.Name}");
        Line(text, $"");
        Line(text, $"`k2 gpu-check{(report.Quick ? " --quick" : "")}` of version {card.Version}, {report.TimeUtc:yyyy-MM-dd}, {report.Seconds:0} s: **{(report.Passed ? "every kernel agrees" : "something disagrees")}**.");
        Line(text, $"Compute capability {card.Capability}, {card.MemoryBytes / 1e9:0.0} GB, {card.Multiprocessors} multiprocessors, {card.Clock} MHz, {card.L2Bytes >> 20} MiB L2, {card.SharedBytesPerBlock >> 10} KiB shared memory a block, ECC {(card.Ecc ? "on" : "off")}, CUDA {card.Driver}, {card.Host}.");
        if (report.Quick)
            Line(text, $"Small shapes only: the figures say nothing about the card.");
        foreach (Disagreement wrong in report.Disagreements)
            Line(text, $"- **{wrong.Target} {wrong.Kernel}**: {wrong.What} ({wrong.Where})");
        Head(text, "Compared with FP64 on the CPU", "A row's error is relative to its length; at most 3e-3 where 128 elements or more were compared, and every element is within its rounding to BF16 (2^-8) and what sums in FP32 lose. Kernels without an error must be exact. A row's bits were the same in every launch.");
        Table(text, ["PTX", "kernel", "launches", "worst error"], report.Verified.Select(kernel => (string[])[kernel.Target, kernel.Kernel, $"{kernel.Launches}", kernel.WorstError > 0 ? Show(kernel.WorstError, "0.0e+0") : "exact"]));
        if (report.Copies.Count > 0)
        {
            Head(text, "Copies", "Bytes read plus bytes written; the faster is the ceiling.");
            Table(text, ["way", "MB", "best µs", "median µs", "GB/s"], report.Copies.Select(copy => (string[])[copy.Way, Show(copy.Bytes / 1e6, "0.0"), .. Show(copy.Microseconds), Show(copy.GBPerSecond, "0")]));
        }

        if (report.Layers.Count > 0)
        {
            Head(text, "A MoE layer (route, gate_up, down as one graph)", "Floor: the bytes of the distinct experts at the ceiling. * what the device takes for such a batch.");
            Table(
                text, ["PTX", "format", "batch", "experts", "kernels", "best µs", "median µs", "floor µs", "ratio"],
                report.Layers.Select(layer => (string[])[layer.Target, layer.Format, $"{layer.Batch}", Show(layer.Experts, "0"), layer.Size + (layer.IsDevices ? " *" : ""), .. Show(layer.Microseconds), Show(layer.FloorMicroseconds, "0.0"), Show(layer.Ratio, "0.00")]));
        }

        if (report.Kernels.Count > 0)
        {
            bool torch = report.Kernels.Any(kernel => kernel.TorchMicroseconds is not null);
            Head(
                text, "Kernels",
                "GB/s: weights once each, rows in and out, by the median; %: of the ceiling. Weights go round at least four times the L2. Rows: of each expert; of the route, pairs in all."
                + (torch ? " PyTorch: BF16 products of the same shapes on this machine, the faster of one batched product and one for each expert; x: how often as fast the kernel is." : ""));
            Table(
                text, ["PTX", "kernel", "experts", "rows", "best µs", "median µs", "GB/s", "%", "TFLOP/s", .. torch ? (string[])["PyTorch µs", "x"] : []],
                report.Kernels.Select(kernel => (string[])
                [
                    kernel.Target, kernel.Kernel, $"{kernel.Experts}", $"{kernel.Rows}", .. Show(kernel.Microseconds), Show(kernel.GBPerSecond, "0"), Show(100 * kernel.ShareOfCeiling, "0"), Show(kernel.TFlops, "0.0"),
                    .. !torch ? [] : kernel.TorchMicroseconds is { } other ? (string[])[Show(other, "0.0"), Show(other / kernel.Microseconds.Median, "0.00")] : ["", ""],
                ]));
        }

        if (report.LeftOut.Count > 0)
        {
            Head(text, "Left out", "");
            foreach (string what in report.LeftOut)
                Line(text, $"- {what}.");
        }

        return text.ToString();
    }

    private static void Head(StringBuilder text, string title, string words) => Line(text, $"\n## {title}\n{(words.Length > 0 ? "\n" + words + "\n" : "")}");

    private static void Table(StringBuilder text, string[] head, IEnumerable<string[]> body)
    {
        string[][] rows = [.. body];
        int[] widths = [.. head.Select((name, column) => rows.Select(row => row[column].Length).Append(name.Length).Max())];
        Row(head);
        Row([.. widths.Select((width, column) => IsText(column) ? new string('-', width) : new string('-', width - 1) + ":")]);
        foreach (string[] row in rows)
            Row(row);

        void Row(string[] cells) => Line(text, $"| {string.Join(" | ", cells.Select((cell, column) => IsText(column) ? cell.PadRight(widths[column]) : cell.PadLeft(widths[column])))} |");

        bool IsText(int column) => head[column] is "PTX" or "kernel" or "way" or "kernels" or "format";
    }

    private static string[] Show(Times times) => [Show(times.Best, "0.0"), Show(times.Median, "0.0")];

    private static string Show(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    private static void Line(StringBuilder text, FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
