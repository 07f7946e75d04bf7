using System.Collections.Immutable;
using System.Globalization;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Planning;

namespace K2Cluster.Grains.Placement;

/// <summary>Where operators ask and are told: how a placement stands, why, and what a change makes of it.</summary>
internal sealed class PlacementDesk(Placement placement)
{
    public PlacementStatus Status(PlacementWishes wishes, bool isKept)
    {
        ExpertPlan? plan = placement.Intended;
        int[] owned = new int[plan?.Devices.Length ?? 0];
        int[] replicas = new int[owned.Length];
        double[] load = new double[owned.Length];
        for (int expert = 0; expert < (plan?.Shape.Count ?? 0); expert++)
        {
            ReadOnlySpan<int> devices = plan!.ReplicasOf(expert);
            for (int i = 0; i < devices.Length; i++)
            {
                (i == 0 ? owned : replicas)[devices[i]]++;
                load[devices[i]] += plan.LoadOf(expert) / devices.Length;
            }
        }

        double all = Math.Max(load.Sum(), double.Epsilon);
        (int several, ImmutableArray<SiloLoss> losses) = placement.Plan is { } served ? LossesOf(served) : (0, []);
        return new PlacementStatus
        {
            Epoch = placement.Plan?.Epoch ?? Epoch.None,
            Grid = placement.Grid,
            Incomplete = placement.Plan is { } published ? published.Incomplete : "there is no plan yet: silos with shards are waited for",
            Shards = [.. placement.Shards().Select(StatusOf)],
            Gateways = [.. placement.Gateways.OrderBy(gateway => gateway.Name, StringComparer.Ordinal).Select(gateway => new GatewayAcknowledgement(gateway.Name, gateway.Known, gateway.Silent))],
            Wishes = new OperatorWishes(wishes.Drained, wishes.Pinned.Length, wishes.Copies.Length, wishes.Replicas, isKept)
            {
                Experts = [.. wishes.Pinned.Select(pin => new ExpertWish(pin.Layer, pin.Expert, pin.Shards, 0))
                    .Concat(wishes.Copies.Select(copies => new ExpertWish(copies.Layer, copies.Expert, [], copies.Copies)))
                    .OrderBy(wish => (wish.Layer, wish.Expert))],
            },
            Advice = placement.ChangeOfKinds() is var (gain, experts) ? string.Create(CultureInfo.InvariantCulture, $"Layers would take {100 * gain:0} % less time with {experts} experts on devices of another kind. They do not go there by themselves, as answers under way may go on in other words: k2 cluster what-if rebalance tells which, k2 cluster rebalance does it.") : null,
            OnSeveral = several,
            Losses = losses,
        };

        PlacedShard StatusOf(ShardReport shard)
        {
            int device = plan is null ? -1 : IndexOf(plan, shard);
            return new PlacedShard
            {
                Shard = shard.Shard,
                WeightsBudget = shard.WeightsBudget,
                ExpertBytes = shard.ExpertBytes,
                Held = shard.Held.Length,
                Owned = device < 0 ? 0 : owned[device],
                Replicas = device < 0 ? 0 : replicas[device],
                Loading = shard.Loading,
                LoadShare = device < 0 ? 0 : load[device] / all,
                RowsPerSecond = shard.RowsPerSecond,
                Problem = shard.Problem,
                Silent = placement.SinceReport(shard.Shard.Id.Silo) ?? TimeSpan.Zero,
            };
        }
    }

    /// <exception cref="PlacementRefusedException">There is no such expert, or no plan yet.</exception>
    public ExpertExplanation Explain(PlacementWishes wishes, int layer, int expert)
    {
        ExpertPlan plan = PlanOrRefuse();
        if (!placement.Grid.Contains(layer, expert))
            throw WishEditor.NoSuchExpert(placement.Grid, layer, expert);
        int index = placement.Grid.Index(layer, expert);
        ImmutableArray<string>.Builder serving = ImmutableArray.CreateBuilder<string>();
        foreach (int shard in placement.Plan is { } published ? published.ReplicasOf(index) : [])
            serving.Add(placement.Plan!.Shards[shard].Id.ToString());
        return new ExpertExplanation
        {
            Load = plan.LoadOf(index),
            Planned = [.. plan.Explain(index).Select(decision => new PlannedReplica(decision.Device, decision.IsOwner, decision.Text))],
            Serving = serving.ToImmutable(),
            Held = [.. placement.Shards().Where(shard => shard.Held.BinarySearch(index) >= 0).Select(shard => shard.Shard.Id.ToString())],
            Wish = wishes.Pinned.FirstOrDefault(pin => (pin.Layer, pin.Expert) == (layer, expert)) is { } pinned ? $"on {string.Join(", ", pinned.Shards)}"
                : wishes.Copies.FirstOrDefault(copies => (copies.Layer, copies.Expert) == (layer, expert)) is { } copied ? $"with {copied.Copies} {(copied.Copies == 1 ? "replica" : "replicas")}"
                : null,
        };
    }

    /// <summary>What the changes make of wishes.</summary>
    /// <exception cref="PlacementRefusedException">They cannot be done.</exception>
    public (PlacementWishes Wishes, bool Rebalances) Edit(PlacementWishes wishes, ImmutableArray<PlacementChange> changes)
    {
        if (changes.IsDefaultOrEmpty || changes.Length > PlacementChange.Most)
            throw new PlacementRefusedException(PlacementRefusal.Invalid, $"1 to {PlacementChange.Most} changes are expected in one call.");
        WishEditor editor = new(wishes, placement.Grid, placement.Shards(), PlanOrRefuse());
        foreach (PlacementChange change in changes)
            editor.Apply(change);
        return (editor.Wishes, editor.Rebalances);
    }

    /// <summary>What would become of the plan; changes nothing.</summary>
    public PlacementOutcome WhatIf(PlacementWishes wishes, bool rebalances, ImmutableArray<PlacementChange> changes) =>
        Outcome(PlanOrRefuse(), placement.WhatIf(wishes.ToPlan(placement.Grid), rebalances)!, wishes, changes);

    /// <summary>How one plan differs from the one before, and what it does not give that was wished for.</summary>
    public PlacementOutcome Outcome(ExpertPlan before, ExpertPlan after, PlacementWishes wishes, ImmutableArray<PlacementChange> changes) =>
        new PlanComparison(before, after, wishes, placement.Grid, changes).Outcome(placement.Shards());

    /// <summary>By what is served now, not by what is to be.</summary>
    private static (int OnSeveral, ImmutableArray<SiloLoss> Losses) LossesOf(PlacementPlan plan)
    {
        int several = 0;
        SortedDictionary<string, int> alone = new(StringComparer.Ordinal);
        foreach (PlannedShard shard in plan.Shards)
            alone[shard.Id.Silo] = 0;
        for (int expert = 0; expert < plan.Grid.Count; expert++)
        {
            string? only = null;
            bool isOnSeveral = false;
            foreach (int shard in plan.ReplicasOf(expert))
            {
                string silo = plan.Shards[shard].Id.Silo;
                only ??= silo;
                isOnSeveral |= silo != only;
            }

            if (isOnSeveral)
                several++;
            else if (only is not null)
                alone[only]++;
        }

        return (several, [.. alone.Select(silo => new SiloLoss(silo.Key, silo.Value))]);
    }

    private ExpertPlan PlanOrRefuse() => placement.Intended ?? throw new PlacementRefusedException(PlacementRefusal.NotReady, "Nothing is planned yet: silos with shards are waited for.");

    private static int IndexOf(ExpertPlan plan, ShardReport shard)
    {
        string id = shard.Shard.Id.ToString();
        for (int device = 0; device < plan.Devices.Length; device++)
        {
            if (plan.Devices[device].Id == id)
                return device;
        }

        return -1;
    }
}
