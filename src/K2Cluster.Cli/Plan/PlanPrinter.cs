using System.Globalization;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary>A plan for people: the answer first, then what it stands on. Devices and hosts that are alike share a line.</summary>
internal static class PlanPrinter
{
    public static void Print(PlanReport report, IAnsiConsole console)
    {
        long experts = (long)report.Layers * report.ExpertsPerLayer;
        console.WriteLine($"{TerminalText.Of(report.Model)}: {report.Layers} × {report.ExpertsPerLayer} experts of {Quantity.OfBytes(report.ExpertBytes)}, {Quantity.OfBytes(experts * report.ExpertBytes)} together; trunk {Quantity.OfBytes(report.TrunkBytes)}, on the gateway");
        console.WriteLine(report.Fits
            ? $"It fits: {Quantity.OfBytes(report.FreeBytes)} stay free."
            : $"It does not fit: {report.MissingExperts:N0} experts find no room, {Quantity.OfBytes(report.MissingBytes)} are missing. Add devices, or memory to those that are there.");
        console.WriteLine($"Memory is counted for experts alone. A gateway takes {Quantity.OfBytes(report.TrunkBytes)} and its --kv-memory ({Quantity.OfBytes((double)report.KvBytesPerToken * report.Context)} for each sequence of {report.Context:N0} tokens): on the host of a cpu device, give that device so much less.");
        console.WriteLine();
        PrintDevices(report, console);
        if (!report.Fits)
            return;
        PrintLosses(report, console);
        PrintSteps(report, console);
    }

    private static void PrintDevices(PlanReport report, IAnsiConsole console)
    {
        Table table = NewTable("devices", "kind", "experts", "replicas", "bytes", "room for");
        foreach (IGrouping<(string Kind, int Capacity, double), PlannedDevice> alike in report.Devices.GroupBy(device => (device.Kind, device.Capacity, device.Bandwidth)))
        {
            PlannedDevice[] devices = [.. alike];
            table.AddRow(NameOf([.. devices.Select(device => device.Device)]), alike.Key.Kind, Range(devices.Select(device => device.Experts)), Range(devices.Select(device => device.Replicas)), Quantity.OfBytes(devices.Max(device => device.Bytes)), $"{alike.Key.Capacity:N0}");
        }

        console.Write(table);
        console.WriteLine();
    }

    private static void PrintLosses(PlanReport report, IAnsiConsole console)
    {
        string rate = $"at {Quantity.OfBytes(report.LoadBytesPerSecond)}/s a host:";
        string without = report.HostsLostWithoutReload < 1 && Which(report, loss => loss.Lost == 0) is { } unneeded ? $"Without a wait may be lost: {unneeded}" : $"{Hosts(report.HostsLostWithoutReload)} may be lost without a wait";
        console.WriteLine(report.HostsLostWithReload < 1 && Which(report, loss => loss.Homeless == 0) is { } reloadable
            ? $"{without}. With reloading: {reloadable}; {rate}"
            : $"{without}, {Hosts(report.HostsLostWithReload).ToLowerInvariant()} with reloading; {rate}");
        Table table = NewTable("lost", "experts to load again", "takes");
        foreach (IGrouping<(int, int, double?), PlannedLoss> alike in report.Losses.GroupBy(loss => (loss.Lost, loss.Homeless, loss.ReloadSeconds is { } seconds ? (double?)Math.Round(seconds) : null)))
        {
            PlannedLoss first = alike.First();
            string takes = first.ReloadSeconds is not { } seconds ? $"for ever: {first.Homeless:N0} find no room" : first.Lost == 0 ? "no wait" : Quantity.OfTime(TimeSpan.FromSeconds(seconds));
            table.AddRow(NameOf([.. alike.Select(loss => loss.Host)]), $"{first.Lost:N0}", takes);
        }

        console.Write(table);
        console.WriteLine();
    }

    /// <summary>Which hosts may be lost and which not; null when none may.</summary>
    private static string? Which(PlanReport report, Func<PlannedLoss, bool> mayBe)
    {
        string[] may = [.. report.Losses.Where(mayBe).Select(loss => loss.Host)];
        string[] not = [.. report.Losses.Where(loss => !mayBe(loss)).Select(loss => loss.Host)];
        return may.Length == 0 ? null : $"{NameOf(may)}{(not.Length == 0 ? "" : $"; not {NameOf(not)}")}";
    }

    private static void PrintSteps(PlanReport report, IAnsiConsole console)
    {
        console.WriteLine($"A step of decoding takes at least (roofline; all experts alike, {report.Context:N0} tokens of context, gateway {Quantity.OfBytes(report.GatewayBytesPerSecond)}/s, network {TerminalText.Of(report.Network)}):");
        Table table = NewTable("batch", "trunk", "experts", "network", "step", "tokens/s");
        foreach (PlannedStep step in report.Steps)
            table.AddRow($"{step.Batch}", Time(step.Trunk), Time(step.Experts), Time(step.Network), Time(step.Total), step.TokensPerSecond.ToString("#,0.#", CultureInfo.InvariantCulture));
        console.Write(table);

        static string Time(double seconds) => Quantity.OfTime(TimeSpan.FromSeconds(seconds));
    }

    private static Table NewTable(params string[] columns)
    {
        Table table = new() { Border = TableBorder.Simple };
        for (int i = 0; i < columns.Length; i++)
            table.AddColumn(new TableColumn(columns[i]) { Alignment = i == 0 ? Justify.Left : Justify.Right });
        return table;
    }

    private static string NameOf(string[] names) => names.Length <= 2 ? string.Join(", ", names) : $"{names[0]} … {names[^1]} ({names.Length})";

    private static string Range(IEnumerable<int> counts) => (counts.Min(), counts.Max()) is var (least, most) && least == most ? $"{most:N0}" : $"{least:N0} to {most:N0}";

    private static string Hosts(int count) => count switch { <= 0 => "No host", 1 => "Any 1 host", _ => $"Any {count} hosts" };
}
