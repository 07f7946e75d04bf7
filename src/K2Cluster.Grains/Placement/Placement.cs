using System.Collections.Immutable;
using K2Cluster.Contracts;

namespace K2Cluster.Grains.Placement;

/// <summary>
/// Decides which shard holds which expert, from what shards report and membership says, and moves experts without a gap:
/// load at the new owner, publish, wait until every gateway has acknowledged, drop at the old. Knows no Orleans and waits for
/// nothing: who owns it calls <see cref="Advance"/> whenever something came in, and a few times a second. Not thread-safe.
/// </summary>
internal sealed class Placement
{
    private readonly PlacementOptions _options;
    private readonly TimeProvider _time;
    private readonly long _start;
    private readonly Dictionary<string, Silo> _silos = [];
    private readonly Dictionary<string, Gateway> _gateways = [];
    private readonly Dictionary<ShardId, Assignment> _assignments = [];
    private Epoch _epoch;
    private ExpertGrid _grid;
    private Split _split = new([], [], []);
    private bool _settled;
    private long _published;

    public Placement(PlacementOptions options, TimeProvider time)
    {
        (_options, _time) = (options, time);
        _start = time.GetTimestamp();
        _epoch = new Epoch(time.GetUtcNow().ToUnixTimeMilliseconds(), 0);
    }

    /// <summary>The plan in force; null before there is one.</summary>
    public PlacementPlan? Plan { get; private set; }

    /// <summary>Takes a silo's report; one without shards says that it leaves.</summary>
    /// <returns>Whether it was taken: not when another silo of that name has reported, from an address that is still alive.</returns>
    /// <exception cref="ArgumentException">The report contradicts itself, or is of another model.</exception>
    public bool Report(SiloReport report, Func<SiloAddress, bool>? isAlive = null)
    {
        Check(report);
        if (_silos.TryGetValue(report.Silo, out Silo? namesake) && namesake.Address is { } address && address != report.Address && isAlive?.Invoke(address) == true)
            return false;
        if (report.Shards.IsEmpty)
        {
            _silos.Remove(report.Silo);
            return true;
        }

        if (_silos.Keys.All(silo => silo == report.Silo))
            _grid = report.Grid;
        else if (_grid != report.Grid)
            throw new ArgumentException($"Silo {report.Silo} has a model of {report.Grid.Layers} × {report.Grid.Experts} experts, this cluster's has {_grid.Layers} × {_grid.Experts}: give the other model a --cluster-id of its own.");
        foreach (ShardReport shard in report.Shards)
            StartAbove(shard.Assigned);
        ImmutableArray<ShardReport> before = _silos.TryGetValue(report.Silo, out Silo? known) ? known.Shards : [];
        _silos[report.Silo] = new Silo([.. report.Shards.Select(shard => Newer(before.FirstOrDefault(old => old.Shard == shard.Shard), shard))], report.Address, _time.GetTimestamp());
        return true;
    }

    /// <summary>Takes a shard's answer to an assignment: its report, sooner.</summary>
    public void Report(ShardReport shard)
    {
        if (_silos.TryGetValue(shard.Shard.Id.Silo, out Silo? silo))
            _silos[shard.Shard.Id.Silo] = silo with { Shards = [.. silo.Shards.Select(old => old.Shard == shard.Shard ? Newer(old, shard) : old)] };
    }

    /// <summary>Of two reports of a shard; they come by several ways, and one may overtake the other.</summary>
    private static ShardReport Newer(ShardReport? before, ShardReport now) => before is not null && before.Number > now.Number ? before : now;

    /// <summary>A gateway asks for a plan newer than the one it uses.</summary>
    /// <exception cref="ArgumentException">The epoch is far in the future.</exception>
    public void Acknowledge(string gateway, Epoch known)
    {
        StartAbove(known);
        _gateways[gateway] = new Gateway(known, _time.GetTimestamp());
    }

    /// <summary>Publishes a plan if there is reason to, and returns what is to be sent to shards.</summary>
    public IReadOnlyList<(ShardId Shard, ShardAssignment Assignment)> Advance(SiloView view)
    {
        Forget(view);
        ShardReport[] shards = [.. _silos.Values.SelectMany(silo => silo.Shards).OrderBy(shard => shard.Shard.Id.ToString(), StringComparer.Ordinal)];
        _settled |= _time.GetElapsedTime(_start) >= _options.Settling || (shards.Length > 0 && view.Hosts.IsSubsetOf(_silos.Keys));
        if (!_settled || _grid.Count == 0)
            return [];

        Resplit(shards);
        Publish(shards);
        return MakeAssignments(shards);
    }

    private static void Check(SiloReport report)
    {
        ExpertGrid grid = report.Grid;
        if (report.Shards.IsDefault || grid.Layers < 1 || grid.Experts < 1 || (long)grid.Layers * grid.Experts > 1 << 24)
            throw new ArgumentException($"Silo {report.Silo} reports a model of {grid.Layers} × {grid.Experts} experts, which is none.");
        foreach (ShardReport shard in report.Shards)
        {
            int last = -1;
            foreach (int expert in shard.Held)
            {
                if (expert <= last || expert >= grid.Count)
                    throw new ArgumentException($"Shard {shard.Shard.Id} reports expert {expert} of {grid.Count}, after {last}.");
                last = expert;
            }

            if (shard.ExpertBytes < 1 || shard.Shard.Id.Silo != report.Silo)
                throw new ArgumentException($"Shard {shard.Shard.Id} of silo {report.Silo} reports experts of {shard.ExpertBytes} bytes.");
        }
    }

    /// <summary>Epochs only grow, whatever the clock of this host says; but not to where nobody could follow.</summary>
    private void StartAbove(Epoch seen)
    {
        if (seen.Generation > _epoch.Generation && seen.Generation > _time.GetUtcNow().AddYears(1).ToUnixTimeMilliseconds())
            throw new ArgumentException($"Epoch {seen} is more than a year ahead of this host's clock: set the clocks right, then restart the processes of the cluster.");
        if (seen.Generation > _epoch.Generation || (seen.Generation == _epoch.Generation && seen > _epoch))
            _epoch = new Epoch(seen.Generation + 1, 0);
    }

    private Epoch NextEpoch() => _epoch = _epoch with { Counter = _epoch.Counter + 1 };

    private void Forget(SiloView view)
    {
        foreach ((string name, Silo silo) in _silos.ToArray())
        {
            if (view.Gone.Contains(name) || _time.GetElapsedTime(silo.Seen) > _options.ReportAge)
                _silos.Remove(name);
        }

        foreach ((string name, Gateway gateway) in _gateways.ToArray())
        {
            if (view.Gone.Contains(name) || _time.GetElapsedTime(gateway.Seen) > _options.GatewayAge)
                _gateways.Remove(name);
        }
    }

    /// <summary>Chooses owners anew when the shards are others than before; as long as they load, nothing is to be chosen.</summary>
    private void Resplit(ShardReport[] shards)
    {
        ShardKey[] keys = [.. shards.Select(shard => new ShardKey(shard.Shard, Capacity(shard), shard.Problem is not null))];
        if (keys.SequenceEqual(_split.Shards) && _split.Owners.Length == _grid.Count)
            return;

        ExpertSplit.Shard[] inputs = new ExpertSplit.Shard[shards.Length];
        for (int i = 0; i < shards.Length; i++)
        {
            // A shard that cannot load keeps what it has, and what it lacks goes elsewhere.
            bool broken = shards[i].Problem is not null;
            bool[] has = new bool[_grid.Count];
            foreach (int expert in shards[i].Held)
                has[expert] = true;
            if (!broken && Array.FindIndex(_split.Shards, old => old.Shard == keys[i].Shard) is var old and >= 0)
            {
                for (int expert = 0; expert < _split.Owners.Length && expert < has.Length; expert++)
                    has[expert] |= _split.Owners[expert] == old;
            }

            inputs[i] = new ExpertSplit.Shard(Weight(shards[i]), broken ? shards[i].Held.Length : Capacity(shards[i]), has);
        }

        int[] owners = ExpertSplit.Compute(_grid.Layers, _grid.Experts, inputs);
        ImmutableArray<int>[] loads = [.. shards.Select((_, shard) => Enumerable.Range(0, owners.Length).Where(expert => owners[expert] == shard).ToImmutableArray())];
        _split = new Split(keys, owners, loads);
    }

    /// <summary>GPUs are filled first: an expert on a CPU takes many times as long, and a layer waits for its last expert.</summary>
    private long Weight(ShardReport shard) => Capacity(shard) * (shard.Shard.Kind.StartsWith("cpu", StringComparison.Ordinal) ? 1L : 1L << 24);

    private int Capacity(ShardReport shard) => (int)Math.Clamp(shard.WeightsBudget / shard.ExpertBytes, 0, _grid.Count);

    private void Publish(ShardReport[] shards)
    {
        (ImmutableArray<int> starts, ImmutableArray<int> replicas) = MakeReplicas(shards);
        string? incomplete = PlanProblem.Describe(_grid, shards, starts, _split.Owners);
        ImmutableArray<PlannedShard> planned = [.. shards.Select(shard => shard.Shard)];
        if (Plan is { } plan)
        {
            bool sameShards = plan.Shards.SequenceEqual(planned);
            bool sameRoutes = sameShards && plan.ReplicaStarts.AsSpan().SequenceEqual(starts.AsSpan()) && plan.ReplicaShards.AsSpan().SequenceEqual(replicas.AsSpan());
            if (sameRoutes && plan.Incomplete == incomplete)
                return;
            bool urgent = !sameShards || (incomplete is null) != (plan.Incomplete is null);
            if (!urgent && _time.GetElapsedTime(_published) < _options.PublishInterval)
                return;
        }

        _published = _time.GetTimestamp();
        Plan = new PlacementPlan
        {
            Epoch = NextEpoch(),
            Grid = _grid,
            Shards = planned,
            ReplicaStarts = starts,
            ReplicaShards = replicas,
            Incomplete = incomplete,
            IsFilling = incomplete is not null && shards.Length > 0 && !_split.Owners.Contains(-1),
        };
    }

    /// <summary>An expert is asked of its owner once that holds it, until then of whoever does, as long as they are of one kind.</summary>
    private (ImmutableArray<int> Starts, ImmutableArray<int> Replicas) MakeReplicas(ShardReport[] shards)
    {
        List<int>[] holders = new List<int>[_grid.Count];
        for (int shard = 0; shard < shards.Length; shard++)
        {
            foreach (int expert in shards[shard].Held)
                (holders[expert] ??= []).Add(shard);
        }

        int[] starts = new int[_grid.Count + 1];
        List<int> replicas = new(_grid.Count);
        for (int expert = 0; expert < holders.Length; expert++)
        {
            if (holders[expert] is { } having)
            {
                if (having.Contains(_split.Owners[expert]))
                    replicas.Add(_split.Owners[expert]);
                else
                    replicas.AddRange(having.Where(shard => shards[shard].Shard.Kind == shards[having[0]].Shard.Kind));
            }

            starts[expert + 1] = replicas.Count;
        }

        return ([.. starts], [.. replicas]);
    }

    private List<(ShardId Shard, ShardAssignment Assignment)> MakeAssignments(ShardReport[] shards)
    {
        bool mayDrop = Plan is { } plan && _time.GetElapsedTime(_start) >= _options.NoDrops && _gateways.Values.All(gateway => gateway.Known >= plan.Epoch)
            && plan.Shards.SequenceEqual(shards.Select(shard => shard.Shard));
        List<(ShardId, ShardAssignment)> toSend = [];
        for (int i = 0; i < shards.Length; i++)
        {
            ImmutableArray<int> load = _split.Loads[i];
            ImmutableArray<int> drop = mayDrop ? [.. shards[i].Held.Where(expert => _split.Owners[expert] != i && Plan!.ReplicasOf(expert) is { IsEmpty: false } replicas && !replicas.Contains(i))] : [];
            _assignments.TryGetValue(shards[i].Shard.Id, out Assignment? sent);
            // A shard that took a newer assignment than ours took it from another grain, as when a network has healed: ours again.
            bool isNew = sent is null || shards[i].Assigned > sent.Message.Epoch || sent.Incarnation != shards[i].Shard.Incarnation || !sent.Message.Load.AsSpan().SequenceEqual(load.AsSpan()) || !sent.Message.Drop.AsSpan().SequenceEqual(drop.AsSpan());
            if (!isNew && (shards[i].Assigned >= sent!.Message.Epoch || _time.GetElapsedTime(sent.Sent) < _options.ResendInterval))
                continue;

            ShardAssignment message = isNew ? new ShardAssignment(NextEpoch(), load, drop) : sent!.Message;
            _assignments[shards[i].Shard.Id] = new Assignment(message, shards[i].Shard.Incarnation, _time.GetTimestamp());
            toSend.Add((shards[i].Shard.Id, message));
        }

        foreach (ShardId gone in _assignments.Keys.Except(shards.Select(shard => shard.Shard.Id)).ToArray())
            _assignments.Remove(gone);
        return toSend;
    }

    private sealed record Silo(ImmutableArray<ShardReport> Shards, SiloAddress? Address, long Seen);

    private sealed record Gateway(Epoch Known, long Seen);

    private sealed record Assignment(ShardAssignment Message, long Incarnation, long Sent);

    private sealed record ShardKey(PlannedShard Shard, int Capacity, bool HasProblem);

    /// <summary>The owners chosen for a set of shards, and what that makes each hold.</summary>
    private sealed record Split(ShardKey[] Shards, int[] Owners, ImmutableArray<int>[] Loads);
}
