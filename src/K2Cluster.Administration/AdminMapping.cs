using Grpc.Core;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Protocol.V1;
using Wire = K2Cluster.Contracts.Operators;

namespace K2Cluster.Administration;

/// <summary>Between the messages of k2cluster.v1.Admin and what the placement takes and gives.</summary>
internal static class AdminMapping
{
    /// <summary>Of a cluster and of a silo, as their options have it.</summary>
    private const int LongestName = 64;

    /// <summary>cluster/silo/slot.</summary>
    private const int LongestShard = (2 * LongestName) + 12;

    public static ClusterStatus Status(string cluster, PlacementStatus status) => new()
    {
        Cluster = cluster,
        Epoch = EpochOf(status.Epoch),
        Incomplete = status.Incomplete ?? "",
        FirstLayer = (uint)status.Grid.FirstLayer,
        Layers = (uint)status.Grid.Layers,
        ExpertsPerLayer = (uint)status.Grid.Experts,
        Shards = { status.Shards.Select(ShardOf) },
        Gateways = { status.Gateways.Select(gateway => new GatewayState { Name = gateway.Gateway, Epoch = EpochOf(gateway.Known), SilentSeconds = gateway.Silent.TotalSeconds }) },
        Wishes = new Wishes
        {
            Drained = { status.Wishes.Drained },
            Pinned = (uint)status.Wishes.Pinned,
            Copied = (uint)status.Wishes.Copied,
            Replicas = (uint)status.Wishes.Replicas,
            Kept = status.Wishes.IsKept,
            Experts = { (status.Wishes.Experts.IsDefault ? [] : status.Wishes.Experts).Select(wish => new Protocol.V1.ExpertWish { Layer = (uint)wish.Layer, Expert = (uint)wish.Expert, Shards = { wish.Shards }, Copies = (uint)wish.Copies }) },
        },
        Advice = status.Advice ?? "",
        OnSeveral = (uint)status.OnSeveral,
        Losses = { (status.Losses.IsDefault ? [] : status.Losses).Select(loss => new Protocol.V1.SiloLoss { Silo = loss.Silo, Experts = (uint)loss.Experts }) }, // a silo of an older version does not say it
    };

    public static ClusterPlan Plan(string cluster, PlacementPlan plan, int? layer)
    {
        ClusterPlan answer = new()
        {
            Cluster = cluster,
            Epoch = EpochOf(plan.Epoch),
            Incomplete = plan.Incomplete ?? "",
            Shards = { plan.Shards.Select(shard => shard.Id.ToString()) },
        };
        (int first, int count) = layer is { } one ? (one, 1) : (plan.Grid.FirstLayer, plan.Grid.Layers);
        for (int number = first; number < first + count; number++)
        {
            LayerPlan experts = new() { Layer = (uint)number };
            for (int expert = 0; expert < plan.Grid.Experts; expert++)
            {
                ExpertPlace place = new();
                foreach (int shard in plan.ReplicasOf(plan.Grid.Index(number, expert)))
                    place.Shards.Add((uint)shard);
                experts.Experts.Add(place);
            }

            answer.Layers.Add(experts);
        }

        return answer;
    }

    public static Explanation Explanation(string cluster, ExplainRequest request, ExpertExplanation explanation) => new()
    {
        Cluster = cluster,
        Layer = request.Layer,
        Expert = request.Expert,
        Load = explanation.Load,
        Planned = { explanation.Planned.Select(replica => new Protocol.V1.PlannedReplica { Shard = replica.Shard, Owner = replica.IsOwner, Reason = replica.Reason }) },
        Serving = { explanation.Serving },
        Held = { explanation.Held },
        Wish = explanation.Wish ?? "",
    };

    /// <exception cref="RpcException">It says nothing, or contradicts itself.</exception>
    public static Wire.PlacementChange Change(Protocol.V1.PlacementChange change) => change.ChangeCase switch
    {
        Protocol.V1.PlacementChange.ChangeOneofCase.Replicate => change.Replicate switch
        {
            { HasCopies: true, To.Count: > 0 } => throw Invalid("Replicate goes to the shards that are named, or is for so many copies; not both."),
            { HasCopies: true } replicate => new Wire.PlacementChange { Kind = PlacementChangeKind.Copies, Layer = Number(replicate.Layer), Expert = Number(replicate.Expert), Copies = Number(replicate.Copies) },
            var replicate => new Wire.PlacementChange { Kind = PlacementChangeKind.Replicate, Layer = Number(replicate.Layer), Expert = Number(replicate.Expert), Shards = [.. replicate.To.Select(ShardNamed)] },
        },
        Protocol.V1.PlacementChange.ChangeOneofCase.Replicas => new Wire.PlacementChange { Kind = PlacementChangeKind.Replicas, Copies = Number(change.Replicas.Replicas) },
        Protocol.V1.PlacementChange.ChangeOneofCase.Move => new Wire.PlacementChange
        {
            Kind = PlacementChangeKind.Move,
            Layer = Number(change.Move.Layer),
            Expert = Number(change.Move.Expert),
            Shards = [ShardNamed(change.Move.To)],
            From = change.Move.From.Length > 0 ? ShardNamed(change.Move.From) : null,
        },
        Protocol.V1.PlacementChange.ChangeOneofCase.Drop => new Wire.PlacementChange { Kind = PlacementChangeKind.Drop, Layer = Number(change.Drop.Layer), Expert = Number(change.Drop.Expert), From = ShardNamed(change.Drop.From) },
        Protocol.V1.PlacementChange.ChangeOneofCase.Unpin => change.Unpin.Expert is { } expert
            ? new Wire.PlacementChange { Kind = PlacementChangeKind.Unpin, Layer = Number(expert.Layer), Expert = Number(expert.Expert) }
            : new Wire.PlacementChange { Kind = PlacementChangeKind.UnpinAll },
        Protocol.V1.PlacementChange.ChangeOneofCase.Drain => new Wire.PlacementChange { Kind = PlacementChangeKind.Drain, Silo = SiloNamed(change.Drain.Silo) },
        Protocol.V1.PlacementChange.ChangeOneofCase.Undrain => new Wire.PlacementChange { Kind = PlacementChangeKind.Undrain, Silo = SiloNamed(change.Undrain.Silo) },
        Protocol.V1.PlacementChange.ChangeOneofCase.Rebalance => new Wire.PlacementChange { Kind = PlacementChangeKind.Rebalance },
        _ => throw Invalid("A change is empty, or of a version that is not known here."),
    };

    public static ChangeResponse Outcome(string cluster, PlacementOutcome outcome, bool whatIf) => new()
    {
        Cluster = cluster,
        Experts = { outcome.Experts.Select(expert => new ExpertMove { Layer = (uint)expert.Layer, Expert = (uint)expert.Expert, Before = { expert.Before }, After = { expert.After }, Reason = expert.Reason }) },
        Changed = (uint)outcome.Changed,
        Loads = (uint)outcome.Loads,
        LoadBytes = outcome.LoadBytes,
        Drops = (uint)outcome.Drops,
        Notes = { outcome.Notes },
        WhatIf = whatIf,
        Staying = (uint)outcome.Staying,
    };

    /// <summary>A number that is too large for what it numbers stays too large.</summary>
    public static int Number(uint number) => (int)Math.Min(number, int.MaxValue);

    private static ShardState ShardOf(PlacedShard status) => new()
    {
        Id = status.Shard.Id.ToString(),
        Silo = status.Shard.Id.Silo,
        Kind = status.Shard.Kind,
        Format = status.Shard.Format,
        BudgetBytes = status.WeightsBudget,
        ExpertBytes = status.ExpertBytes,
        Held = (uint)status.Held,
        Loading = (uint)status.Loading,
        Owned = (uint)status.Owned,
        Replicas = (uint)status.Replicas,
        LoadShare = status.LoadShare,
        RowsPerSecond = status.RowsPerSecond,
        Problem = status.Problem ?? "",
        SilentSeconds = status.Silent.TotalSeconds,
        Endpoint = status.Shard.Endpoint ?? "",
    };

    private static PlanEpoch? EpochOf(Epoch epoch) => epoch == Epoch.None ? null : new PlanEpoch { Generation = epoch.Generation, Counter = epoch.Counter };

    private static string SiloNamed(string name) => Bounded("silo", name, LongestName);

    private static string ShardNamed(string name) => Bounded("shard", name, LongestShard);

    /// <summary>A refusal repeats the name in a trailer, and too long a one ends the connection for all who share it.</summary>
    private static string Bounded(string what, string name, int longest) =>
        name.Length <= longest ? name : throw Invalid($"A {what}'s name has at most {longest} characters, this one has {name.Length}.");

    private static RpcException Invalid(string message) => new(new Status(StatusCode.InvalidArgument, message));
}
