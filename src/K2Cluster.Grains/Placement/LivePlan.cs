using System.Collections.Immutable;
using K2Cluster.Contracts;
using K2Cluster.Planning;

namespace K2Cluster.Grains.Placement;

/// <summary>
/// Where experts are to be on the shards alive: planned anew at once when shards or wishes are others than before, and from time
/// to time for what is asked for. Devices of the plan are in the order of the shards.
/// </summary>
internal sealed class LivePlan(PlacementOptions options, TimeProvider time)
{
    /// <summary>Of a rebalance: loads waver, so that there may be something to gain each time.</summary>
    private const int MostRounds = 8;

    private readonly ShardSpeeds _speeds = new();
    private LoadWindow? _load;
    private PlanShape _shape;
    private ShardKey[] _keys = [];
    private PlanWishes? _wishes;
    private bool[][] _toHold = [];
    private long _planned;
    private bool _rebalance;

    /// <summary>How often a rebalance may still go on once what it had moved is there and dropped where it was: only then is there room for what else it would move.</summary>
    private int _rounds;
    private (ExpertPlan? Plan, long At, (double Gain, int Experts)? Change) _compared;

    public ExpertPlan? Plan { get; private set; }

    public PlanWishes Wishes { get; set; } = PlanWishes.None;

    /// <summary>[shards]: the experts of which each is the owner.</summary>
    public ImmutableArray<int>[] Owned { get; private set; } = [];

    /// <summary>[shards]: those, and further replicas.</summary>
    public ImmutableArray<int>[] All { get; private set; } = [];

    /// <summary>[shards]: as measured, or assumed, when it was last planned.</summary>
    public ImmutableArray<float> Speeds { get; private set; } = [];

    /// <summary>Whether the plan knows that a shard has room for nothing.</summary>
    public bool IsWithoutRoom(PlannedShard shard) => Array.Exists(_keys, key => key.Shard == shard && key.Capacity == 0);

    public bool IsToHold(int shard, int expert) => _toHold[shard][expert];

    /// <summary>Takes how often each expert was asked for, if the report says it.</summary>
    public void Observe(ExpertGrid grid, ShardReport report)
    {
        if (report.Rows.IsDefaultOrEmpty)
            return;
        Reset(grid);
        _load!.Observe(report.Shard.Id.ToString(), report.Shard.Incarnation, report.Held.AsSpan(), report.Rows.AsSpan());
    }

    public void Forget(ShardId shard)
    {
        _speeds.Forget(shard);
        _load?.Forget(shard.ToString());
    }

    /// <summary>Has the next <see cref="Update"/> plan anew, and move whatever makes a layer faster, by however little; and those after it, until nothing is left to gain.</summary>
    public void Rebalance() => _rebalance = true;

    /// <summary>Plans anew if there is reason to.</summary>
    public void Update(ExpertGrid grid, ShardReport[] shards)
    {
        Reset(grid);
        ShardKey[] keys = [.. shards.Select(shard => new ShardKey(shard.Shard, Capacity(shard), shard.Problem is not null))];
        bool sameShards = keys.SequenceEqual(_keys);
        bool goesOn = !_rebalance && _rounds > 0 && sameShards && IsCarriedOut(shards);
        bool rebalances = _rebalance || goesOn;
        bool isSame = Plan is not null && !rebalances && ReferenceEquals(_wishes, Wishes) && sameShards;
        bool isDue = (time.GetElapsedTime(_planned) >= options.LoadPeriod && !Array.Exists(shards, shard => shard.Loading > 0)) || IsWholeAgain(shards);
        if (isSame && !isDue)
            return;

        ExpertPlan plan = Make(grid, shards, Wishes, rebalances);
        if (_rebalance)
            _rounds = MostRounds;
        else if (!sameShards)
            _rounds = 0; // on other shards it may not be what was wanted
        else if (goesOn)
            _rounds = plan.IsSameAs(Plan!) ? 0 : _rounds - 1;
        (_keys, _wishes, _planned, _rebalance) = (keys, Wishes, time.GetTimestamp(), false);
        Speeds = [.. plan.Devices.Select(device => (float)device.Speed)];
        if (isSame && plan.IsSameAs(Plan!) && plan.IsMissingSome == Plan!.IsMissingSome)
            return; // with the reasons for which it was made
        Take(plan);
    }

    /// <summary>What the plan would be; changes nothing.</summary>
    public ExpertPlan Make(ExpertGrid grid, ShardReport[] shards, PlanWishes wishes, bool rebalance)
    {
        Reset(grid);
        double[] speeds = _speeds.Of(shards);
        PlanDevice[] devices =
        [
            .. shards.Select((shard, i) => new PlanDevice(shard.Shard.Id.ToString(), shard.Shard.Id.Silo, shard.Shard.Kind, Capacity(shard), speeds[i])
            {
                UsesHostThreads = shard.UsesHostThreads,
                CanLoad = shard.Problem is null,
                Held = shard.Held,
            }),
        ];
        PlannerOptions planner = rebalance ? options.Planner with { MinGain = 0, IsRebalance = true, StayHotFactor = options.Planner.HotFactor } : options.Planner;
        return ExpertPlanner.Plan(new PlanRequest(_shape, devices) { Load = _load!.Rows(), Previous = Plan, Wishes = wishes, Options = planner });
    }

    /// <summary>
    /// By which part layers would take less time after a rebalance, for which experts may change kinds, and how many would; null
    /// when that is less than a move is worth. Planned only now and then: it takes two plans.
    /// </summary>
    public (double Gain, int Experts)? ChangeOfKinds(ExpertGrid grid, ShardReport[] shards)
    {
        if (Array.TrueForAll(shards, shard => shard.Shard.Kind == shards[0].Shard.Kind))
            return null;
        if (ReferenceEquals(_compared.Plan, Plan) && time.GetElapsedTime(_compared.At) < options.LoadPeriod)
            return _compared.Change;
        ExpertPlan without = Make(grid, shards, Wishes, rebalance: false);
        ExpertPlan with = Make(grid, shards, Wishes, rebalance: true);
        int experts = Enumerable.Range(0, _shape.Count).Count(expert => without.OwnerOf(expert) is var old and >= 0 && with.OwnerOf(expert) is var now and >= 0 && without.Devices[old].Kind != with.Devices[now].Kind);
        double gain = 1 - (TimeOf(with) / TimeOf(without));
        _compared = (Plan, time.GetTimestamp(), experts > 0 && gain >= options.Planner.MinGain ? (gain, experts) : null);
        return _compared.Change;

        static double TimeOf(ExpertPlan plan) => Enumerable.Range(0, plan.Shape.Layers).Sum(plan.LayerTime);
    }

    /// <summary>Whether every shard holds what it is to hold, and nothing else.</summary>
    private bool IsCarriedOut(ShardReport[] shards)
    {
        for (int i = 0; i < shards.Length; i++)
        {
            if (!shards[i].Held.AsSpan().SequenceEqual(All[i].AsSpan()))
                return false;
        }

        return true;
    }

    /// <summary>Whether all is there that was missing when it was planned: what is held is balanced then, before further replicas load.</summary>
    private bool IsWholeAgain(ShardReport[] shards)
    {
        if (Plan is not { IsMissingSome: true })
            return false;
        bool[] isHeld = new bool[_shape.Count];
        foreach (ShardReport shard in shards)
        {
            foreach (int expert in shard.Held)
                isHeld[expert] = true;
        }

        for (int expert = 0; expert < isHeld.Length; expert++)
        {
            if (!isHeld[expert] && Plan.OwnerOf(expert) >= 0)
                return false;
        }

        return true;
    }

    private void Take(ExpertPlan plan)
    {
        Plan = plan;
        ImmutableArray<int>.Builder[] owned = [.. plan.Devices.Select(_ => ImmutableArray.CreateBuilder<int>())];
        ImmutableArray<int>.Builder[] all = [.. plan.Devices.Select(_ => ImmutableArray.CreateBuilder<int>())];
        _toHold = [.. plan.Devices.Select(_ => new bool[plan.Shape.Count])];
        for (int expert = 0; expert < plan.Shape.Count; expert++)
        {
            ReadOnlySpan<int> replicas = plan.ReplicasOf(expert);
            for (int i = 0; i < replicas.Length; i++)
            {
                if (i == 0)
                    owned[replicas[i]].Add(expert);
                all[replicas[i]].Add(expert);
                _toHold[replicas[i]][expert] = true;
            }
        }

        (Owned, All) = ([.. owned.Select(experts => experts.DrainToImmutable())], [.. all.Select(experts => experts.DrainToImmutable())]);
    }

    /// <summary>When every silo is gone, the next may have another model.</summary>
    private void Reset(ExpertGrid grid)
    {
        PlanShape shape = new(grid.Layers, grid.Experts, grid.FirstLayer);
        if (shape == _shape)
            return;
        (_shape, Plan, _load) = (shape, null, new LoadWindow(time, options.LoadHalfLife, shape.Count));
    }

    private int Capacity(ShardReport shard) => (int)Math.Clamp(shard.WeightsBudget / shard.ExpertBytes, 0, _shape.Count);

    private sealed record ShardKey(PlannedShard Shard, int Capacity, bool HasProblem);
}
