using System.Globalization;
using K2Cluster.Planning;
using K2Cluster.Protocol.V1;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary>Answers of k2cluster.v1.Admin for people: what is wrong first, shards without the cluster's id.</summary>
internal sealed class ClusterPrinter(IAnsiConsole console)
{
    private const int MostExperts = 20;
    private const int MostWishes = 100;

    /// <summary>More shards do not fit side by side.</summary>
    private const int MostColumns = 10;

    private const int MostNamed = 8;

    /// <summary>A gateway asks every few seconds.</summary>
    private const double LongSilence = 10;

    public void Print(ClusterStatus status)
    {
        Line($"{status.Cluster}: {status.Layers} × {status.ExpertsPerLayer} experts, plan {Name(status.Epoch)}");
        Line(status.Incomplete.Length == 0 ? "Every expert is served." : $"NOT COMPLETE: {Short(status.Cluster, status.Incomplete)}");
        if (LossesOf(status) is { } losses)
            Line(losses);
        if (status.Advice.Length > 0)
            Line($"NOTE: {Short(status.Cluster, status.Advice)}");
        console.WriteLine();

        Table shards = NewTable("shard", "kind", "experts", "replicas", "held", "loading", "memory", "of", "load", "rows/s", "state");
        foreach (ShardState shard in status.Shards.OrderBy(shard => shard.Id, NaturalOrder.Instance))
        {
            shards.AddRow(
                Cell(Short(status.Cluster, shard.Id)),
                Cell(shard.Kind),
                $"{shard.Owned:N0}",
                $"{shard.Replicas:N0}",
                $"{shard.Held:N0}",
                $"{shard.Loading:N0}",
                Quantity.OfBytes((double)shard.Held * shard.ExpertBytes),
                Quantity.OfBytes(shard.BudgetBytes),
                $"{(100 * shard.LoadShare).ToString("0.#", CultureInfo.InvariantCulture)} %",
                shard.RowsPerSecond > 0 ? shard.RowsPerSecond.ToString("#,0", CultureInfo.InvariantCulture) : "–",
                Cell(StateOf(shard, status.Wishes)));
        }

        console.Write(shards);
        console.WriteLine();
        Table gateways = NewTable("gateway", "plan", "asked");
        foreach (GatewayState gateway in status.Gateways.OrderBy(gateway => gateway.Name, NaturalOrder.Instance))
            gateways.AddRow(Cell(gateway.Name), gateway.Epoch?.Equals(status.Epoch) == true ? "current" : Name(gateway.Epoch), $"{gateway.SilentSeconds.ToString("0.0", CultureInfo.InvariantCulture)} s ago{(gateway.SilentSeconds > LongSilence ? ", SILENT" : "")}");
        if (status.Gateways.Count > 0)
            console.Write(gateways);
        else
            Line("No gateway asks for plans.");
        PrintWishes(status.Wishes);
    }

    public void Print(ClusterPlan plan, bool everyExpert)
    {
        Line($"{plan.Cluster}: plan {Name(plan.Epoch)} on {Counted(plan.Shards.Count, "shard")}{(plan.Incomplete.Length > 0 ? $", NOT COMPLETE: {Short(plan.Cluster, plan.Incomplete)}" : "")}");
        console.WriteLine();
        string[] shards = [.. plan.Shards.Select(shard => Short(plan.Cluster, shard))];
        if (everyExpert)
            PrintExperts(plan, shards);
        else
            PrintLayers(plan, shards);
    }

    public void Print(Explanation explanation)
    {
        Line($"Layer {explanation.Layer} expert {explanation.Expert}, asked for {explanation.Load.ToString("0.##", CultureInfo.InvariantCulture)} times as often as the mean of its layer");
        if (explanation.Wish.Length > 0)
            Line($"An operator wants it {Short(explanation.Cluster, explanation.Wish)}.");
        console.WriteLine();
        if (explanation.Planned.Count == 0)
            Line("No shard has room for it: start another silo or raise --memory.");
        Table table = NewTable("shard", "is", "now", "why");
        foreach (PlannedReplica replica in explanation.Planned)
            table.AddRow(Cell(Short(explanation.Cluster, replica.Shard)), replica.Owner ? "owner" : "replica", NowOf(explanation, replica.Shard), Cell(Short(explanation.Cluster, replica.Reason)));
        foreach (string shard in explanation.Held.Where(shard => !explanation.Planned.Any(replica => replica.Shard == shard)))
            table.AddRow(Cell(Short(explanation.Cluster, shard)), "to drop", NowOf(explanation, shard), "it is to be elsewhere; gateways that use the old plan may still ask for it");
        console.Write(table);
    }

    /// <summary>Each wish with the command that takes it back; what it names and is not there now is marked.</summary>
    public void Print(ClusterStatus status, Wishes wishes)
    {
        List<(string Wish, string Undo)> lines = [.. wishes.Drained.Order(NaturalOrder.Instance).Select(silo => ($"silo {silo}{Gone(shard => shard.Silo == silo)} holds nothing", $"undrain {silo}"))];
        foreach (ExpertWish wish in wishes.Experts)
        {
            string what = wish.Shards.Count == 0 ? $"has {Counted(wish.Copies, "replica")}" : $"is on {string.Join(", ", wish.Shards.Select(id => Short(status.Cluster, id) + Gone(shard => shard.Id == id)))} and nowhere else";
            lines.Add(($"layer {wish.Layer} expert {wish.Expert} {what}", $"unpin {wish.Layer} {wish.Expert}"));
        }

        if (wishes.Replicas != PlanWishes.None.Replicas)
            lines.Add(($"every expert has {Counted(wishes.Replicas, "replica")}", $"replicate --all --copies {PlanWishes.None.Replicas}"));
        long unlisted = (long)wishes.Pinned + wishes.Copied - wishes.Experts.Count;
        if (lines.Count == 0 && unlisted == 0)
        {
            Line($"Nothing is wished for: experts go by speed and load, each with {PlanWishes.None.Replicas} replicas where there is room.");
            return;
        }

        Table table = NewTable("wish", "to take it back");
        table.Columns[1].Alignment = Justify.Left;
        foreach ((string wish, string undo) in lines.Take(MostWishes))
            table.AddRow(Cell(wish), Cell($"k2 cluster {undo}"));
        console.Write(table);
        if (lines.Count > MostWishes)
            Line($"… and {lines.Count - MostWishes:N0} more; --json lists all.");
        if (wishes.Pinned + wishes.Copied > 0)
            Line("k2 cluster unpin --all takes back what is wished for experts, and leaves silos drained.");
        if (unlisted > 0)
            Line($"NOTE: wishes for {Counted(unlisted, "expert")} are not listed, as the silo that keeps them is of an older version; k2 cluster explain LAYER EXPERT tells one.");
        PrintUnkept(wishes);

        string Gone(Predicate<ShardState> isIt) => status.Shards.Any(shard => isIt(shard)) ? "" : " (not there now)";
    }

    public void Print(ChangeResponse response)
    {
        string would = response.WhatIf ? "Would change" : "Changes";
        Line(response.Changed == 0 ? (response.WhatIf ? "Would change nothing." : "Done; no expert is to be elsewhere than before.")
            : $"{would} {Counted(response.Changed, "expert")}: {response.Loads:N0} to load ({Quantity.OfBytes(response.LoadBytes)}), {response.Drops:N0} to drop.");
        if (response.Changed > 0)
        {
            Table table = NewTable("layer", "expert", "before", "after", "why");
            foreach (ExpertMove move in response.Experts.Take(MostExperts))
                table.AddRow($"{move.Layer}", $"{move.Expert}", Shards(move.Before), Shards(move.After), Cell(Short(response.Cluster, move.Reason)));
            console.Write(table);
            if (response.Changed > MostExperts)
                Line($"… and {response.Changed - MostExperts:N0} more; --json lists {response.Experts.Count:N0}.");
        }

        foreach (string note in response.Notes)
            Line($"NOTE: {Short(response.Cluster, note)}");

        string Shards(IEnumerable<string> shards) => Cell(string.Join(", ", shards.DefaultIfEmpty("none").Select(shard => Short(response.Cluster, shard))));
    }

    /// <summary>Which silos may be lost; null from a gateway that does not say it.</summary>
    private static string? LossesOf(ClusterStatus status)
    {
        if (status.Losses.Count == 0)
            return null;
        SiloLoss[] losses = [.. status.Losses.OrderBy(loss => loss.Silo, NaturalOrder.Instance)];
        SiloLoss[] not = [.. losses.Where(loss => loss.Experts > 0)];
        uint count = status.Layers * status.ExpertsPerLayer;
        string replicas = $"Replicas: {status.OnSeveral:N0} of {count:N0} experts are on two silos or more.";
        if (not.Length == 0)
            return status.OnSeveral == count ? $"{replicas} Any silo may be lost without reloading." : replicas; // the rest is nowhere
        string[] may = [.. losses.Where(loss => loss.Experts == 0).Select(loss => loss.Silo)];
        IEnumerable<string> reasons = not.Take(MostNamed).Select(loss => $"{loss.Silo} ({Counted(loss.Experts, "expert")} {(loss.Experts == 1 ? "is" : "are")} only there)");
        return $"{replicas} Without reloading may be lost: {(may.Length == 0 ? "none" : List(may, may.Length))}; not {List(reasons, not.Length)}.";

        static string List(IEnumerable<string> names, int count) => string.Join(", ", names.Take(MostNamed)) + (count > MostNamed ? $" and {count - MostNamed:N0} more" : "");
    }

    private void PrintLayers(ClusterPlan plan, string[] shards)
    {
        bool areMany = shards.Length > MostColumns;
        int[] order = [.. Enumerable.Range(0, shards.Length).OrderBy(shard => shards[shard], NaturalOrder.Instance)];
        Table table = NewTable(["layer", .. areMany ? ["on a shard"] : order.Select(shard => shards[shard]), "replicas", "nowhere"]);
        foreach (LayerPlan layer in plan.Layers)
        {
            int[] held = new int[shards.Length];
            foreach (uint shard in layer.Experts.SelectMany(expert => expert.Shards))
                held[shard]++;
            table.AddRow([$"{layer.Layer}", .. areMany ? [$"{held.Min():N0} to {held.Max():N0}"] : order.Select(shard => $"{held[shard]:N0}"), $"{layer.Experts.Sum(expert => Math.Max(0, expert.Shards.Count - 1)):N0}", $"{layer.Experts.Count(expert => expert.Shards.Count == 0):N0}"]);
        }

        console.Write(table);
    }

    private void PrintExperts(ClusterPlan plan, string[] shards)
    {
        Table table = NewTable("expert", "shards");
        table.Columns[1].Alignment = Justify.Left;
        foreach (LayerPlan layer in plan.Layers)
        {
            for (int expert = 0; expert < layer.Experts.Count; expert++)
                table.AddRow($"{expert}", Cell(string.Join(", ", layer.Experts[expert].Shards.Select(shard => shards[shard]).DefaultIfEmpty("NOWHERE"))));
        }

        console.Write(table);
    }

    private void PrintWishes(Wishes wishes)
    {
        List<string> texts = [];
        if (wishes.Drained.Count > 0)
            texts.Add($"drained: {string.Join(", ", wishes.Drained)}");
        if (wishes.Pinned > 0)
            texts.Add($"{Counted(wishes.Pinned, "expert")} on shards of an operator's choice");
        if (wishes.Copied > 0)
            texts.Add($"{Counted(wishes.Copied, "expert")} with a number of replicas of {(wishes.Copied == 1 ? "its" : "their")} own");
        texts.Add(wishes.Replicas == 1 ? "no second replicas" : $"{wishes.Replicas} replicas of every expert where there is room");
        console.WriteLine();
        Line($"Wanted: {string.Join("; ", texts)}.{(texts.Count > 1 || wishes.Replicas != PlanWishes.None.Replicas ? " k2 cluster wishes lists it." : "")}");
        PrintUnkept(wishes);
    }

    private void PrintUnkept(Wishes wishes)
    {
        if (!wishes.Kept)
            Line("NOTE: this could not be written to the store; see the log of the silos.");
    }

    private static string StateOf(ShardState shard, Wishes wishes) =>
        shard.Problem.Length > 0 ? $"PROBLEM: {shard.Problem}"
        : shard.BudgetBytes == 0 ? "leaves"
        : wishes.Drained.Contains(shard.Silo) ? (shard.Held == 0 ? "drained" : "drains")
        : shard.SilentSeconds > LongSilence / 2 ? $"SILENT for {shard.SilentSeconds:0} s"
        : shard.Loading > 0 ? "loads" : "ok";

    private static string NowOf(Explanation explanation, string shard) =>
        explanation.Serving.Contains(shard) ? "serves it" : explanation.Held.Contains(shard) ? "holds it" : "loads it";

    private static string Counted(long count, string what) => $"{count:N0} {what}{(count == 1 ? "" : "s")}";

    private static Table NewTable(params string[] columns)
    {
        Table table = new() { Border = TableBorder.Simple };
        for (int i = 0; i < columns.Length; i++)
            table.AddColumn(new TableColumn(Cell(columns[i])) { Alignment = columns[i] is "shard" or "kind" or "state" or "gateway" or "is" or "now" or "why" or "before" or "after" ? Justify.Left : i == 0 ? Justify.Left : Justify.Right });
        return table;
    }

    private void Line(string text) => console.WriteLine(TerminalText.Of(text));

    private static string Cell(string text) => Markup.Escape(TerminalText.Of(text));

    /// <summary>All shards are of one cluster.</summary>
    private static string Short(string cluster, string text) => cluster.Length == 0 ? text : text.Replace(cluster + "/", "", StringComparison.Ordinal);

    private static string Name(PlanEpoch? epoch) => epoch is null ? "none yet" : $"{epoch.Generation}.{epoch.Counter}";
}
