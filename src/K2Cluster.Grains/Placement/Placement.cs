using System.Collections.Immutable;
using System.Runtime.InteropServices;
using K2Cluster.Contracts;
using K2Cluster.Planning;

namespace K2Cluster.Grains.Placement;

/// <summary>
/// Has the experts where <see cref="LivePlan"/> wants them, from what shards report and membership says, and moves them without a
/// gap: load at the new place, publish, wait until every gateway has acknowledged, drop at the old. Knows no Orleans and waits for
/// nothing: who owns it calls <see cref="Advance"/> whenever something came in, and a few times a second. Not thread-safe.
/// </summary>
internal sealed class Placement
{
    private readonly PlacementOptions _options;
    private readonly TimeProvider _time;
    private readonly LivePlan _live;
    private readonly long _start;
    private readonly Dictionary<string, Silo> _silos = [];
    private readonly Dictionary<string, Gateway> _gateways = [];
    private readonly Dictionary<ShardId, Assignment> _assignments = [];
    private Epoch _epoch;
    private ExpertGrid _grid;
    private bool _settled;
    private long _published;

    public Placement(PlacementOptions options, TimeProvider time)
    {
        (_options, _time) = (options, time);
        _live = new LivePlan(options, time);
        _start = time.GetTimestamp();
        _epoch = new Epoch(time.GetUtcNow().ToUnixTimeMilliseconds(), 0);
    }

    /// <summary>The plan in force; null before there is one.</summary>
    public PlacementPlan? Plan { get; private set; }

    /// <summary>That of the epochs now given.</summary>
    public long Generation => _epoch.Generation;

    /// <summary>Where experts are to be, and why; null before there was something to plan.</summary>
    public ExpertPlan? Intended => _live.Plan;

    /// <summary>What the operator wants; taken up at the next <see cref="Advance"/>.</summary>
    public PlanWishes Wishes
    {
        get => _live.Wishes;
        set => _live.Wishes = value;
    }

    /// <summary>What would be planned now with these wishes; changes nothing. Null while no shard has reported.</summary>
    public ExpertPlan? WhatIf(PlanWishes wishes, bool rebalance = false) => _grid.Count == 0 ? null : _live.Make(_grid, Shards(), wishes, rebalance);

    /// <summary>What a rebalance would gain by letting experts change kinds, which they do not by themselves, and how many would; null when it is not worth it.</summary>
    public (double Gain, int Experts)? ChangeOfKinds() => Intended is null || Intended.IsMissingSome ? null : _live.ChangeOfKinds(_grid, Shards());

    /// <summary>Has the next <see cref="Advance"/> plan anew, and move whatever makes a layer faster, by however little.</summary>
    public void Rebalance() => _live.Rebalance();

    /// <summary>The model's experts; of no layer before a shard has reported.</summary>
    public ExpertGrid Grid => _grid;

    /// <summary>The gateways that ask for plans: the epoch that each has acknowledged, and for how long it has been silent.</summary>
    public IEnumerable<(string Name, Epoch Known, TimeSpan Silent)> Gateways => _gateways.Select(gateway => (gateway.Key, gateway.Value.Known, _time.GetElapsedTime(gateway.Value.Seen)));

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
            Remove(report.Silo);
            return true;
        }

        if (_silos.Keys.All(silo => silo == report.Silo))
            _grid = report.Grid;
        else if (_grid != report.Grid)
            throw new ArgumentException($"Silo {report.Silo} has a model of {report.Grid.Layers} × {report.Grid.Experts} experts, this cluster's has {_grid.Layers} × {_grid.Experts}: give the other model a --cluster-id of its own.");
        foreach (ShardReport shard in report.Shards)
        {
            StartAbove(shard.Assigned);
            _live.Observe(_grid, shard);
        }

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

    /// <summary>How many of the experts of a silo without a budget no shard has room for; null before that was looked at.</summary>
    public int? CountHomeless(string silo)
    {
        if (!_settled || !_silos.TryGetValue(silo, out Silo? leaving))
            return null;
        bool isSeen = leaving.Shards.All(shard => shard.WeightsBudget == 0 && _live.IsWithoutRoom(shard.Shard));
        return isSeen ? leaving.Shards.SelectMany(shard => shard.Held).Distinct().Count(expert => _live.Plan!.OwnerOf(expert) < 0) : null;
    }

    /// <summary>Publishes a plan if there is reason to, and returns what is to be sent to shards.</summary>
    public IReadOnlyList<(ShardId Shard, ShardAssignment Assignment)> Advance(SiloView view)
    {
        Forget(view);
        ShardReport[] shards = Shards();
        _settled |= _time.GetElapsedTime(_start) >= _options.Settling || (shards.Length > 0 && view.Hosts.IsSubsetOf(_silos.Keys));
        if (!_settled || _grid.Count == 0)
            return [];

        _live.Update(_grid, shards);
        Publish(shards);
        return MakeAssignments(shards, view);
    }

    /// <summary>What the shards alive reported last, in the order of their ids.</summary>
    public ShardReport[] Shards() => [.. _silos.Values.SelectMany(silo => silo.Shards).OrderBy(shard => shard.Shard.Id.ToString(), StringComparer.Ordinal)];

    /// <summary>Since a silo's last report; null for one that is unknown.</summary>
    public TimeSpan? SinceReport(string silo) => _silos.TryGetValue(silo, out Silo? known) ? _time.GetElapsedTime(known.Seen) : null;

    private void Remove(string silo)
    {
        if (!_silos.Remove(silo, out Silo? gone))
            return;
        foreach (ShardReport shard in gone.Shards)
            _live.Forget(shard.Shard.Id);
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
    public void StartAbove(Epoch seen)
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
                Remove(name);
        }

        foreach ((string name, Gateway gateway) in _gateways.ToArray())
        {
            if (view.Gone.Contains(name) || _time.GetElapsedTime(gateway.Seen) > _options.GatewayAge)
                _gateways.Remove(name);
        }
    }

    private void Publish(ShardReport[] shards)
    {
        (ImmutableArray<int> starts, ImmutableArray<int> replicas) = MakeReplicas(shards);
        PlanProblem? problem = PlanProblem.Find(_grid, shards, starts, _live.Plan!);
        ImmutableArray<PlannedShard> planned = [.. shards.Select(shard => shard.Shard)];
        if (Plan is { } plan)
        {
            bool sameShards = plan.Shards.SequenceEqual(planned);
            bool sameRoutes = sameShards && plan.Speeds.AsSpan().SequenceEqual(_live.Speeds.AsSpan()) && plan.ReplicaStarts.AsSpan().SequenceEqual(starts.AsSpan()) && plan.ReplicaShards.AsSpan().SequenceEqual(replicas.AsSpan());
            if (sameRoutes && plan.Incomplete == problem?.Text)
                return;
            bool urgent = !sameShards || (problem is null) != (plan.Incomplete is null);
            if (!urgent && _time.GetElapsedTime(_published) < (plan.Incomplete is null ? _options.PublishInterval : _options.MissingPublishInterval))
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
            Speeds = _live.Speeds,
            Incomplete = problem?.Text,
            PublicIncomplete = problem?.Public,
            IsFilling = problem is not null && shards.Length > 0 && _live.Plan!.Missing == 0,
        };
    }

    /// <summary>An expert is asked of those that are to hold it as soon as one of them does, until then of whoever does, as long as they are of one kind.</summary>
    private (ImmutableArray<int> Starts, ImmutableArray<int> Replicas) MakeReplicas(ShardReport[] shards)
    {
        // All that is held, sorted by expert in one array: lists would be 23,040 objects for Kimi K2, some times a second.
        int[] ends = new int[_grid.Count];
        foreach (ShardReport shard in shards)
        {
            foreach (int expert in shard.Held)
                ends[expert]++;
        }

        int held = 0;
        for (int expert = 0; expert < ends.Length; expert++)
            (ends[expert], held) = (held, held + ends[expert]);
        int[] holders = new int[held];
        for (int shard = 0; shard < shards.Length; shard++)
        {
            foreach (int expert in shards[shard].Held)
                holders[ends[expert]++] = shard;
        }

        int[] starts = new int[_grid.Count + 1];
        int[] replicas = new int[held];
        int count = 0;
        for (int expert = 0; expert < ends.Length; expert++)
        {
            ReadOnlySpan<int> having = holders.AsSpan((expert == 0 ? 0 : ends[expert - 1])..ends[expert]);
            int first = count;
            foreach (int shard in having)
            {
                if (_live.IsToHold(shard, expert))
                    replicas[count++] = shard;
            }

            foreach (int shard in count == first ? having : [])
            {
                if (shards[shard].Shard.Kind == shards[having[0]].Shard.Kind)
                    replicas[count++] = shard;
            }

            starts[expert + 1] = count;
        }

        return (ImmutableCollectionsMarshal.AsImmutableArray(starts), [.. replicas.AsSpan(0, count)]);
    }

    private List<(ShardId Shard, ShardAssignment Assignment)> MakeAssignments(ShardReport[] shards, SiloView view)
    {
        bool knowsGateways = _time.GetElapsedTime(_start) >= _options.NoDrops || (view.Gateways.Count > 0 && view.Gateways.IsSubsetOf(_gateways.Keys));
        bool mayDrop = knowsGateways && Plan is { } plan && _gateways.Values.All(gateway => gateway.Known >= plan.Epoch)
            && plan.Shards.SequenceEqual(shards.Select(shard => shard.Shard));
        List<(ShardId, ShardAssignment)> toSend = [];
        // Further replicas only once every expert has one: they would delay those that are missing.
        ImmutableArray<int>[] loads = Plan?.Incomplete is null ? _live.All : _live.Owned;
        for (int i = 0; i < shards.Length; i++)
        {
            ImmutableArray<int> load = loads[i];
            ImmutableArray<int> drop = mayDrop ? [.. shards[i].Held.Where(expert => !_live.IsToHold(i, expert) && Plan!.ReplicasOf(expert) is { IsEmpty: false } replicas && !replicas.Contains(i))] : [];
            _assignments.TryGetValue(shards[i].Shard.Id, out Assignment? sent);
            // A shard that took a newer assignment than ours took it from another grain, as when a network has healed: ours again.
            bool isNew = sent is null || shards[i].Assigned > sent.Message.Epoch || sent.Incarnation != shards[i].Shard.Incarnation || !sent.Message.Load.AsSpan().SequenceEqual(load.AsSpan()) || !sent.Message.Drop.AsSpan().SequenceEqual(drop.AsSpan()) || !sent.Owned.AsSpan().SequenceEqual(_live.Owned[i].AsSpan());
            if (!isNew && (shards[i].Assigned >= sent!.Message.Epoch || _time.GetElapsedTime(sent.Sent) < _options.ResendInterval))
                continue;

            ShardAssignment message = isNew ? new ShardAssignment(NextEpoch(), load, drop) { Further = [.. load.Except(_live.Owned[i])], Urgent = Urgent(load) } : sent!.Message;
            _assignments[shards[i].Shard.Id] = new Assignment(message, _live.Owned[i], shards[i].Shard.Incarnation, _time.GetTimestamp());
            toSend.Add((shards[i].Shard.Id, message));
        }

        foreach (ShardId gone in _assignments.Keys.Except(shards.Select(shard => shard.Shard.Id)).ToArray())
            _assignments.Remove(gone);
        return toSend;
    }

    /// <summary>Of experts to load, those that nobody holds; none where there is no order between them.</summary>
    private ImmutableArray<int> Urgent(ImmutableArray<int> load)
    {
        if (Plan is not { Incomplete: not null } plan)
            return [];
        ImmutableArray<int> urgent = [.. load.Where(expert => plan.ReplicasOf(expert).IsEmpty)];
        return urgent.Length == load.Length ? [] : urgent;
    }

    private sealed record Silo(ImmutableArray<ShardReport> Shards, SiloAddress? Address, long Seen);

    private sealed record Gateway(Epoch Known, long Seen);

    private sealed record Assignment(ShardAssignment Message, ImmutableArray<int> Owned, long Incarnation, long Sent);
}
