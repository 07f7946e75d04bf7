using System.Collections.Immutable;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Planning;

namespace K2Cluster.Grains.Placement;

/// <summary>What a plan changes of the one before it, why, and what of the wishes it does not give: for the operator who asked for it.</summary>
/// <param name="before">The one before.</param>
/// <param name="after">The plan.</param>
/// <param name="wishes">What it was made for.</param>
/// <param name="grid">The model's experts.</param>
/// <param name="changes">What the operator asked for. Of anything else is told only what has become worse by it.</param>
internal sealed class PlanComparison(ExpertPlan before, ExpertPlan after, PlacementWishes wishes, ExpertGrid grid, ImmutableArray<PlacementChange> changes)
{
    private const int NamedHomeless = 3;
    private const string Later = "more follow when what is dropped has gone";

    public PlacementOutcome Outcome(ShardReport[] shards)
    {
        long[] bytes = [.. after.Devices.Select(device => Array.Find(shards, shard => shard.Shard.Id.ToString() == device.Id)?.ExpertBytes ?? 0)];
        ImmutableArray<ExpertChange>.Builder listed = ImmutableArray.CreateBuilder<ExpertChange>();
        (int changed, int loads, int drops, long loadBytes) = (0, 0, 0, 0);
        for (int expert = 0; expert < after.Shape.Count; expert++)
        {
            ImmutableArray<string> old = before.DeviceIdsOf(expert);
            ImmutableArray<string> now = after.DeviceIdsOf(expert);
            if (old.AsSpan().SequenceEqual(now.AsSpan()))
                continue;
            changed++;
            drops += old.Count(shard => !now.Contains(shard));
            foreach (int device in after.ReplicasOf(expert))
            {
                if (after.Devices[device].Held.BinarySearch(expert) >= 0)
                    continue;
                loads++;
                loadBytes += bytes[device];
            }

            if (listed.Count < PlacementOutcome.MostListed)
            {
                (int layer, int number) = grid.At(expert);
                listed.Add(new ExpertChange(layer, number, old, now, ReasonOf(expert, old, now)));
            }
        }

        return new PlacementOutcome
        {
            Experts = listed.ToImmutable(),
            Changed = changed,
            Loads = loads,
            LoadBytes = loadBytes,
            Drops = drops,
            Notes = [.. Notes().Take(PlacementOutcome.MostNotes)],
            Staying = wishes.Drained.Where(silo => Names(silo)).Sum(silo => StayingOn(after, silo).Length),
        };
    }

    /// <summary>Why it is where it was not, or else why it is not where it was.</summary>
    private string ReasonOf(int expert, ImmutableArray<string> old, ImmutableArray<string> now)
    {
        IReadOnlyList<PlanDecision> decisions = after.Explain(expert);
        if (decisions.Count == 0)
            return "no shard has room for it";
        string? gone = old.FirstOrDefault(shard => !now.Contains(shard));
        if (decisions.FirstOrDefault(decision => !old.Contains(decision.Device)) is { } added)
            return added.Text;
        if (gone is null || decisions[0].Reason == PlanReason.Pinned)
            return decisions[0].Text;

        bool isShort = now.Length < WantedOf(expert);
        string? host = HostOf(after, gone);
        return host is null ? $"{HostOf(before, gone)} is gone"
            : wishes.Drained.Contains(host) ? $"{host} drains, and {(isShort ? "no other shard has room" : "the other replicas are as many as are wanted")}"
            : isShort ? $"{(old.Length == 2 ? "its second replica" : "one of its replicas")} gives way: memory is short"
            : "so many replicas are not wanted any more";
    }

    private IEnumerable<string> Notes()
    {
        if (after.Missing > before.Missing)
            yield return $"{CountOf(after.Missing)} {(after.Missing == 1 ? "finds" : "find")} no room on any shard: start another silo or raise --memory.";

        foreach (string silo in wishes.Drained)
        {
            int[] staying = StayingOn(after, silo);
            if (staying.Length > 0 && (Names(silo) || staying.Length > StayingOn(before, silo).Length))
                yield return $"{CountOf(staying.Length)} {(staying.Length == 1 ? "stays" : "stay")} on {silo}, as no other shard has room for {(staying.Length == 1 ? "it" : "them")} ({string.Join(", ", staying.Take(NamedHomeless).Select(after.Shape.NameOf))}{(staying.Length > NamedHomeless ? ", …" : "")}): {DrainRemedy.For(silo, after, wishes)}.";
        }

        foreach (ExpertCopies wish in wishes.Copies.Where(wish => grid.Contains(wish.Layer, wish.Expert)))
        {
            int expert = grid.Index(wish.Layer, wish.Expert);
            int got = after.ReplicasOf(expert).Length;
            if (got < wish.Copies && (Names(wish.Layer, wish.Expert) || got < before.ReplicasOf(expert).Length))
                yield return $"Layer {wish.Layer} expert {wish.Expert} gets {got} of {wish.Copies} replicas{(after.IsPostponed(expert) ? $" for now: {Later}" : ": no other shard of its kind has room")}.";
        }

        foreach (PinnedExpert pin in wishes.Pinned.Where(pin => grid.Contains(pin.Layer, pin.Expert)))
        {
            int expert = grid.Index(pin.Layer, pin.Expert);
            string[] missing = [.. pin.Shards.Except(after.DeviceIdsOf(expert))];
            if (missing.Length > 0 && (Names(pin.Layer, pin.Expert) || missing.Intersect(before.DeviceIdsOf(expert)).Any()))
                yield return $"Layer {pin.Layer} expert {pin.Expert} is not on {string.Join(", ", missing)} as wished: not alive, drained, of another kind, or without room.";
        }

        int[] fewer = WithFewer(after);
        if (fewer.Length > 0 && (changes.Any(change => change.Kind == PlacementChangeKind.Replicas) || fewer.Length > WithFewer(before).Length))
        {
            int later = fewer.Count(after.IsPostponed);
            string reason = later == fewer.Length ? $" for now: {Later}" : $": no other shard of their kind has room{(later > 0 ? $" for now; for {later} {Later}" : "")}";
            yield return $"{CountOf(fewer.Length)} {(fewer.Length == 1 ? "gets" : "get")} fewer than {wishes.Replicas} replicas{reason}.";
        }
    }

    private bool Names(string silo) => changes.Any(change => change.Kind == PlacementChangeKind.Drain && change.Silo == silo);

    private bool Names(int layer, int expert) => changes.Any(change =>
        change.Kind is PlacementChangeKind.Replicate or PlacementChangeKind.Move or PlacementChangeKind.Drop or PlacementChangeKind.Copies && (change.Layer, change.Expert) == (layer, expert));

    /// <summary>Experts that have fewer replicas than are wanted of every expert, but for those whose shards were chosen by hand.</summary>
    private int[] WithFewer(ExpertPlan plan)
    {
        HashSet<int> pinned = [.. wishes.Pinned.Where(pin => grid.Contains(pin.Layer, pin.Expert)).Select(pin => grid.Index(pin.Layer, pin.Expert))];
        return [.. Enumerable.Range(0, plan.Shape.Count).Where(expert => plan.ReplicasOf(expert).Length is var count && count > 0 && count < wishes.Replicas && !pinned.Contains(expert))];
    }

    private int WantedOf(int expert)
    {
        (int layer, int number) = grid.At(expert);
        return Math.Max(wishes.Replicas, wishes.Copies.FirstOrDefault(wish => (wish.Layer, wish.Expert) == (layer, number))?.Copies ?? 1);
    }

    private static int[] StayingOn(ExpertPlan plan, string silo) =>
        [.. Enumerable.Range(0, plan.Shape.Count).Where(expert => plan.ReplicasOf(expert).ToArray().Any(device => plan.Devices[device].Host == silo))];

    private static string CountOf(int experts) => experts == 1 ? "1 expert" : $"{experts} experts";

    private static string? HostOf(ExpertPlan plan, string shard) => plan.Devices.FirstOrDefault(device => device.Id == shard)?.Host;
}
