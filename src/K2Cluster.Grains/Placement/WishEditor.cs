using System.Collections.Immutable;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Planning;

namespace K2Cluster.Grains.Placement;

/// <summary>Turns what operators ask for, one change after the other, into wishes that a plan can be made from; refuses what could not be, with the reason.</summary>
/// <param name="wishes">Those so far.</param>
/// <param name="grid">The experts that the model has.</param>
/// <param name="shards">What shards reported.</param>
/// <param name="plan">Where experts are to be now.</param>
internal sealed class WishEditor(PlacementWishes wishes, ExpertGrid grid, ShardReport[] shards, ExpertPlan plan)
{
    private const int Named = 20;

    public PlacementWishes Wishes { get; private set; } = wishes;

    public bool Rebalances { get; private set; }

    /// <exception cref="PlacementRefusedException">It cannot be; the wishes are as before.</exception>
    public void Apply(PlacementChange change)
    {
        switch (change.Kind)
        {
            case PlacementChangeKind.Replicate:
                CheckExpert(change);
                Pin(change, [.. Now(change), .. Targets(change)]);
                break;
            case PlacementChangeKind.Move:
                CheckExpert(change);
                Pin(change, Moved(change));
                break;
            case PlacementChangeKind.Drop:
                CheckExpert(change);
                Pin(change, Without(change, Now(change), ResolveHolder(change, change.From)));
                break;
            case PlacementChangeKind.Copies:
                CheckExpert(change);
                CheckCopies(change.Copies);
                Forget(change);
                Wishes = Wishes with { Copies = Wishes.Copies.Add(new ExpertCopies(change.Layer, change.Expert, change.Copies)) };
                break;
            case PlacementChangeKind.Replicas:
                CheckCopies(change.Copies);
                Wishes = Wishes with { Replicas = change.Copies };
                break;
            case PlacementChangeKind.Unpin:
                CheckExpert(change);
                if (!Forget(change))
                    throw NotPossible($"{NameOf(change)} has no shards or replicas of its own; nothing to take back.");
                break;
            case PlacementChangeKind.UnpinAll:
                Wishes = Wishes with { Pinned = [], Copies = [], Replicas = PlacementWishes.None.Replicas };
                break;
            case PlacementChangeKind.Drain:
                Drain(change.Silo);
                break;
            case PlacementChangeKind.Undrain:
                Undrain(change.Silo);
                break;
            case PlacementChangeKind.Rebalance:
                Rebalances = true;
                break;
            default:
                throw new PlacementRefusedException(PlacementRefusal.Invalid, $"The placement does not know the change {change.Kind}: its silo is older than who asks for it.");
        }
    }

    private void Drain(string? silo)
    {
        if (!shards.Any(shard => shard.Shard.Id.Silo == silo))
            throw NotFound($"There is no silo {silo}; there are {List(Silos())}.");
        if (!Wishes.Drained.Contains(silo!))
            Wishes = Wishes with { Drained = Wishes.Drained.Add(silo!) };
    }

    /// <summary>Also of one that is gone.</summary>
    private void Undrain(string? silo)
    {
        if (silo is null || !Wishes.Drained.Contains(silo))
            throw NotFound($"Silo {silo} is not drained; {(Wishes.Drained.IsEmpty ? "none is" : $"drained are {List(Wishes.Drained)}")}.");
        Wishes = Wishes with { Drained = Wishes.Drained.Remove(silo) };
    }

    private ImmutableArray<string> Moved(PlacementChange change)
    {
        ImmutableArray<string> targets = Targets(change);
        if (targets.Length != 1)
            throw new PlacementRefusedException(PlacementRefusal.Invalid, "A replica moves to one shard.");
        ImmutableArray<string> now = Now(change);
        if (now.Contains(targets[0]))
            throw NotPossible($"{NameOf(change)} is on {Short(targets[0])} already{(now.Length > 1 ? $"; to have it only there, drop the others: {string.Join("; ", now.Where(shard => shard != targets[0]).Select(shard => $"k2 cluster drop {change.Layer} {change.Expert} --from {Short(shard)}"))}" : "")}.");
        if (change.From is null && now.Length > 1)
            throw NotPossible($"{NameOf(change)} has {now.Length} replicas, on {List(now.Select(Short))}: say which of them is to move, with --from.");
        if (now.IsEmpty)
            return targets;
        string from = change.From is null ? now[0] : ResolveHolder(change, change.From);
        return [.. now.Select(shard => shard == from ? targets[0] : shard)];
    }

    private ImmutableArray<string> Without(PlacementChange change, ImmutableArray<string> now, string from)
    {
        ImmutableArray<string> left = now.Remove(from);
        return left.Any(shard => Array.Exists(shards, report => report.Shard.Id.ToString() == shard)) ? left
            : throw NotPossible($"{Short(from)} is to hold the last replica of {NameOf(change)}: move it, or replicate it elsewhere first.");
    }

    /// <summary>The shards that are to hold an expert as wished, else as planned.</summary>
    private ImmutableArray<string> Now(PlacementChange change) =>
        Wishes.Pinned.FirstOrDefault(pin => (pin.Layer, pin.Expert) == (change.Layer, change.Expert)) is { } pinned
            ? pinned.Shards
            : plan.DeviceIdsOf(grid.Index(change.Layer, change.Expert));

    private void Pin(PlacementChange change, ImmutableArray<string> to)
    {
        ImmutableArray<string> distinct = [.. to.Distinct()];
        ShardReport[] alive = [.. distinct.Select(shard => Array.Find(shards, report => report.Shard.Id.ToString() == shard)).OfType<ShardReport>()];
        string[] kinds = [.. alive.Select(shard => shard.Shard.Kind).Distinct()];
        if (kinds.Length > 1)
            throw NotPossible($"The replicas of an expert stay on devices of one kind, as others give other bits; these would be {string.Join(" and ", kinds)}.");
        Forget(change);
        Wishes = Wishes with { Pinned = Wishes.Pinned.Add(new PinnedExpert(change.Layer, change.Expert, distinct)) };
    }

    private bool Forget(PlacementChange change)
    {
        PlacementWishes before = Wishes;
        Wishes = Wishes with
        {
            Pinned = Wishes.Pinned.RemoveAll(pin => (pin.Layer, pin.Expert) == (change.Layer, change.Expert)),
            Copies = Wishes.Copies.RemoveAll(copies => (copies.Layer, copies.Expert) == (change.Layer, change.Expert)),
        };
        return (before.Pinned.Length, before.Copies.Length) != (Wishes.Pinned.Length, Wishes.Copies.Length);
    }

    private ImmutableArray<string> Targets(PlacementChange change)
    {
        if (change.Shards.IsDefaultOrEmpty || change.Shards.Length > PlacementWishes.MostReplicas)
            throw new PlacementRefusedException(PlacementRefusal.Invalid, $"1 to {PlacementWishes.MostReplicas} shards to go to are expected.");
        return [.. change.Shards.Select(Target)];
    }

    /// <summary>A shard that can take an expert.</summary>
    private string Target(string name)
    {
        ShardReport shard = Resolve(name);
        return Wishes.Drained.Contains(shard.Shard.Id.Silo) ? throw NotPossible($"Silo {shard.Shard.Id.Silo} is drained: undrain it first.")
            : shard.Problem is not null ? throw NotPossible($"{NameOf(shard)} can load nothing: {shard.Problem}")
            : shard.WeightsBudget < shard.ExpertBytes ? throw NotPossible($"{NameOf(shard)} has no room for an expert of {shard.ExpertBytes} bytes: it may hold {shard.WeightsBudget}{(shard.WeightsBudget == 0 ? ", as its silo leaves" : "")}.")
            : shard.Shard.Id.ToString();
    }

    private ShardReport Resolve(string name)
    {
        ShardReport[] named = [.. shards.Where(shard => shard.Shard.Id is var id && (id.ToString() == name || $"{id.Silo}/{id.Slot}" == name))];
        if (named.Length == 0)
            named = [.. shards.Where(shard => shard.Shard.Id.Silo == name)];
        return named.Length == 1 ? named[0]
            : throw NotFound($"{(named.Length == 0 ? $"There is no shard {name}" : $"Silo {name} has {named.Length} shards")}; there are {List(shards.Select(NameOf))}.");
    }

    /// <summary>The one shard of that name, or of the silo of that name, that is to hold the expert; it may be gone.</summary>
    private string ResolveHolder(PlacementChange change, string? name)
    {
        ImmutableArray<string> now = Now(change);
        string[] holders = [.. now.Where(shard => shard == name || (ShardId.TryParse(shard, out ShardId? id) && (id.Value.Silo == name || $"{id.Value.Silo}/{id.Value.Slot}" == name)))];
        if (holders.Length == 1)
            return holders[0];
        if (holders.Length > 1)
            throw NotPossible($"{NameOf(change)} has {holders.Length} replicas on {name}, on {List(holders.Select(Short))}: say which of them is meant.");
        if (name is not null && !Silos().Contains(name))
            Resolve(name); // refuses what is no shard at all
        throw NotPossible($"{NameOf(change)} is not to be on {name}, but on {(now.IsEmpty ? "no shard" : List(now.Select(Short)))}.");
    }

    private void CheckExpert(PlacementChange change)
    {
        if (!grid.Contains(change.Layer, change.Expert))
            throw NoSuchExpert(grid, change.Layer, change.Expert);
    }

    private static void CheckCopies(int copies)
    {
        if (copies is < 1 or > PlacementWishes.MostReplicas)
            throw new PlacementRefusedException(PlacementRefusal.Invalid, $"{copies} replicas: 1 to {PlacementWishes.MostReplicas} are possible.");
    }

    public static PlacementRefusedException NoSuchExpert(ExpertGrid grid, int layer, int expert) =>
        NotFound($"There is no layer {layer} expert {expert}: layers {grid.FirstLayer} to {grid.FirstLayer + grid.Layers - 1} have experts 0 to {grid.Experts - 1}.");

    private IEnumerable<string> Silos() => shards.Select(shard => shard.Shard.Id.Silo).Distinct();

    private static string NameOf(ShardReport shard) => Short(shard.Shard.Id.ToString());

    /// <summary>As tables name a shard: all are of one cluster.</summary>
    private static string Short(string shard) => ShardId.TryParse(shard, out ShardId? id) ? $"{id.Value.Silo}/{id.Value.Slot}" : shard;

    private static string NameOf(PlacementChange change) => $"Layer {change.Layer} expert {change.Expert}";

    private static string List(IEnumerable<string> names) => names.ToArray() is var all && all.Length > Named ? $"{string.Join(", ", all[..Named])} and {all.Length - Named} more" : string.Join(", ", all);

    private static PlacementRefusedException NotFound(string message) => new(PlacementRefusal.NotFound, message);

    private static PlacementRefusedException NotPossible(string message) => new(PlacementRefusal.NotPossible, message);
}
