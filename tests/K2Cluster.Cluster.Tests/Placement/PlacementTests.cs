using System.Collections.Immutable;
using K2Cluster.Contracts;
using K2Cluster.Grains.Placement;
using Microsoft.Extensions.Time.Testing;
using PlacementState = K2Cluster.Grains.Placement.Placement;

namespace K2Cluster.Cluster.Tests.Placement;

public class PlacementTests
{
    private static readonly ExpertGrid Grid = new(1, 2, 6);
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly Dictionary<string, World> _world = [];
    private PlacementState _placement;

    public PlacementTests() => _placement = Start();

    [Fact]
    public void One_shard_is_told_to_load_everything_and_the_plan_is_complete_once_it_has()
    {
        Join("a");

        Turn();
        Assert.StartsWith("12 of 12 experts are on no shard (layer 1 expert 0, layer 1 expert 1, layer 1 expert 2, …); 12 are being loaded", _placement.Plan!.Incomplete);

        LoadAll();
        Turn();
        Assert.Null(_placement.Plan!.Incomplete);
        Assert.All(Enumerable.Range(0, Grid.Count), expert => Assert.Equal([0], _placement.Plan!.ReplicasOf(expert).ToArray()));
    }

    [Fact]
    public void Nothing_is_decided_before_every_silo_with_shards_has_reported_or_time_has_passed()
    {
        Join("a");
        _world["b"] = new World();

        Turn();
        Assert.Null(_placement.Plan);

        _time.Advance(TimeSpan.FromSeconds(4));
        Turn();
        Assert.Equal("a", Assert.Single(_placement.Plan!.Shards).Id.Silo);
    }

    [Fact]
    public void An_expert_moves_by_load_publish_acknowledge_drop()
    {
        Join("a");
        Turn();
        LoadAll();
        Turn();
        Epoch first = Acknowledge("gateway");
        Later();

        Join("b");
        Turn();
        Assert.All(Enumerable.Range(0, Grid.Count), expert => Assert.Equal("a", OwnerOf(expert))); // b has loaded nothing yet
        Assert.Equal(6, _world["b"].Load.Length);
        Assert.Empty(_world["a"].Drop);

        LoadAll();
        Later();
        Turn();
        Assert.Equal(6, Enumerable.Range(0, Grid.Count).Count(expert => OwnerOf(expert) == "b"));
        Assert.Empty(_world["a"].Drop); // the gateway still sends by the first plan
        Assert.True(_placement.Plan!.Epoch > first);

        Acknowledge("gateway");
        Turn();
        Assert.Equal(_world["b"].Load.ToArray(), _world["a"].Drop.ToArray());
    }

    [Fact]
    public void A_gateway_that_is_dead_or_silent_holds_nothing_up()
    {
        Join("a");
        Turn();
        LoadAll();
        Turn();
        Acknowledge("silent");
        Acknowledge("dead");
        Later();
        Join("b");
        Turn();
        LoadAll();
        Later();
        Turn(gone: ["dead"]);
        Assert.Empty(_world["a"].Drop);

        for (int i = 0; i < 4; i++)
            Later();
        Turn(gone: ["dead"]);
        Assert.NotEmpty(_world["a"].Drop);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_experts_of_a_dead_silo_are_taken_out_at_once_and_loaded_by_the_others(bool byMembership)
    {
        Join("a");
        Join("b");
        Turn();
        LoadAll();
        Turn();
        Assert.Null(_placement.Plan!.Incomplete);

        _world.Remove("b");
        if (!byMembership)
            Later(seconds: 11);
        Turn(gone: byMembership ? ["b"] : []);
        Assert.Equal("a", Assert.Single(_placement.Plan!.Shards).Id.Silo);
        Assert.StartsWith("6 of 12 experts are on no shard", _placement.Plan!.Incomplete);
        Assert.True(_placement.Plan!.IsFilling);

        LoadAll();
        Turn();
        Assert.Null(_placement.Plan!.Incomplete);
    }

    [Fact]
    public void A_new_placement_grain_leaves_everything_where_it_is_and_its_epochs_are_later()
    {
        foreach (string silo in new[] { "a", "b", "c" })
            Join(silo);
        Turn();
        LoadAll();
        Turn();
        PlacementPlan before = _placement.Plan!;

        _time.Advance(TimeSpan.FromSeconds(1));
        _placement = Start();
        Turn();

        Assert.True(_placement.Plan!.Epoch > before.Epoch);
        Assert.Equal(before.ReplicaShards.ToArray(), _placement.Plan!.ReplicaShards.ToArray());
        Assert.Null(_placement.Plan!.Incomplete);
    }

    [Fact]
    public void Epochs_grow_even_on_a_host_whose_clock_is_behind()
    {
        Epoch known = new(_time.GetUtcNow().AddDays(1).ToUnixTimeMilliseconds(), 7);
        _placement.Acknowledge("gateway", known);
        Join("a");
        Turn();
        Assert.True(_placement.Plan!.Epoch > known);

        PlacementState other = Start();
        other.Report(new SiloReport("a", Grid, [_world["a"].Report("a") with { Assigned = known }]));
        Assert.True(Assert.Single(other.Advance(View([]))).Assignment.Epoch > known);
    }

    [Fact]
    public void Epochs_of_a_far_future_are_refused_and_change_nothing()
    {
        Epoch end = new(long.MaxValue, 1);
        Join("a");
        Assert.Contains("clock", Assert.Throws<ArgumentException>(() => _placement.Acknowledge("gateway", end)).Message);
        Assert.Throws<ArgumentException>(() => _placement.Report(new SiloReport("a", Grid, [_world["a"].Report("a") with { Assigned = end }])));
        Turn();
        Assert.InRange(_placement.Plan!.Epoch.Generation, 1, _time.GetUtcNow().ToUnixTimeMilliseconds());
    }

    [Fact]
    public void Of_two_silos_with_one_name_the_first_is_heard_as_long_as_it_lives()
    {
        SiloAddress[] addresses = [.. new[] { 1, 2 }.Select(port => SiloAddress.New(System.Net.IPAddress.Loopback, port, 1))];
        SiloReport[] reports = [.. addresses.Select((address, i) => new SiloReport("a", Grid, [new World { Capacity = 100, Incarnation = i + 1 }.Report("a")], address))];
        HashSet<SiloAddress> alive = [.. addresses];
        long Planned()
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            _placement.Advance(new SiloView(new HashSet<string> { "a" }, new HashSet<string>()));
            return Assert.Single(_placement.Plan!.Shards).Incarnation;
        }

        Assert.True(_placement.Report(reports[0], alive.Contains));
        Assert.False(_placement.Report(reports[1], alive.Contains));
        Assert.False(_placement.Report(reports[1] with { Shards = [] }, alive.Contains));
        Assert.True(_placement.Report(reports[0], alive.Contains));
        Assert.Equal(1, Planned());

        alive.Remove(addresses[0]);
        Assert.True(_placement.Report(reports[1], alive.Contains));
        Assert.Equal(2, Planned());
    }

    [Fact]
    public void Too_little_memory_is_said_with_the_bytes_that_are_missing()
    {
        Join("a", capacity: 5);
        Join("b", capacity: 3);
        Turn();
        LoadAll();
        Turn();

        Assert.Equal("4 of 12 experts are on no shard (layer 2 expert 2, layer 2 expert 3, layer 2 expert 4, …); 4 find no room on a working shard, 8.0 MiB are missing: start another silo or raise --memory", _placement.Plan!.Incomplete);
        Assert.False(_placement.Plan!.IsFilling);
    }

    [Fact]
    public void A_shard_that_cannot_load_is_named_and_what_it_lacks_goes_to_the_others()
    {
        Join("a");
        Join("b");
        Turn();
        _world["a"].Held = _world["a"].Load;
        _world["b"].Problem = "disk on fire";
        Turn();
        Assert.Contains("shard m/b/0: disk on fire", _placement.Plan!.Incomplete);
        Assert.Equal(12, _world["a"].Load.Length);

        _world["a"].Held = _world["a"].Load;
        Turn();
        Assert.Null(_placement.Plan!.Incomplete);
    }

    [Fact]
    public void The_experts_of_a_lost_device_are_loaded_by_the_others()
    {
        Join("a");
        Join("b");
        Turn();
        LoadAll();
        Turn();
        Assert.Null(_placement.Plan!.Incomplete);
        ImmutableArray<int> remaining = _world["a"].Held;

        _world["b"] = new World { Capacity = 0, Held = [], Problem = "cuda:0 is lost" };
        Turn();
        Assert.Contains("cuda:0 is lost", _placement.Plan!.Incomplete);
        Assert.Equal(12, _world["a"].Load.Length);
        Assert.All(remaining, expert => Assert.Equal("a", OwnerOf(expert)));

        LoadAll();
        Turn();
        Assert.Null(_placement.Plan!.Incomplete);
        Assert.Empty(_world["b"].Load);
    }

    [Fact]
    public void GPUs_are_filled_before_a_CPU_gets_an_expert()
    {
        Join("cpu");
        Join("gpu-0", capacity: 4);
        Join("gpu-1", capacity: 6);
        foreach (string gpu in new[] { "gpu-0", "gpu-1" })
            _world[gpu].Kind = "cuda-sm_90";
        Turn();
        Assert.Equal((2, 4, 6), (_world["cpu"].Load.Length, _world["gpu-0"].Load.Length, _world["gpu-1"].Load.Length));

        _world["gpu-1"] = new World { Capacity = 100, Kind = "cuda-sm_90", Incarnation = 2 };
        Turn();
        Assert.Empty(_world["cpu"].Load);
    }

    [Fact]
    public void A_shard_that_restarted_is_planned_in_its_new_life_only()
    {
        Join("a");
        Turn();
        LoadAll();
        Turn();
        _world["a"] = new World { Incarnation = 2, Capacity = 100 };
        Turn();

        Assert.Equal(2, Assert.Single(_placement.Plan!.Shards).Incarnation);
        Assert.True(_placement.Plan!.ReplicasOf(0).IsEmpty);
        Assert.Equal(12, _world["a"].Load.Length);
    }

    [Fact]
    public void Replicas_of_an_expert_are_never_of_two_kinds()
    {
        // Everybody holds everything, and the owners-to-be are not chosen by holding: c cannot be one.
        foreach (string silo in new[] { "a", "b", "c" })
            Join(silo, capacity: silo == "c" ? 12 : 0);
        _world["a"].Kind = "gpu";
        foreach (World world in _world.Values.Take(2))
            world.Held = [.. Enumerable.Range(0, 12)];
        Turn();

        Assert.All(Enumerable.Range(0, 12), expert => Assert.Equal("a", OwnerOf(expert)));
    }

    [Fact]
    public void An_assignment_without_an_answer_is_sent_again_and_one_with_is_not()
    {
        Join("a");
        _placement.Report(new SiloReport("a", Grid, [_world["a"].Report("a")]));
        ShardAssignment first = Assert.Single(_placement.Advance(View([]))).Assignment;
        Assert.Empty(_placement.Advance(View([])));

        _time.Advance(TimeSpan.FromSeconds(1.5));
        Assert.Equal(first, Assert.Single(_placement.Advance(View([]))).Assignment);

        _placement.Report(_world["a"].Report("a") with { Assigned = first.Epoch });
        _time.Advance(TimeSpan.FromSeconds(1.5));
        Assert.Empty(_placement.Advance(View([])));
    }

    [Fact]
    public void A_report_that_a_newer_one_has_overtaken_says_nothing()
    {
        Join("a");
        _world["a"].Held = [];
        ShardReport early = _world["a"].Report("a") with { Number = 1 };
        _world["a"].Held = [.. Enumerable.Range(0, Grid.Count)];
        _placement.Report(new SiloReport("a", Grid, [_world["a"].Report("a") with { Number = 2 }]));
        _placement.Advance(View([]));
        Assert.Null(_placement.Plan!.Incomplete);

        // The answer to an assignment, and the silo's own: both were made before.
        _placement.Report(early);
        _placement.Report(new SiloReport("a", Grid, [early]));
        _placement.Advance(View([]));
        Assert.Null(_placement.Plan!.Incomplete);

        // One that is newer counts.
        _placement.Report(early with { Number = 3 });
        _placement.Advance(View([]));
        Assert.NotNull(_placement.Plan!.Incomplete);
    }

    [Fact]
    public void A_shard_that_another_placement_grain_has_assigned_is_assigned_again()
    {
        Join("a");
        Turn();
        LoadAll();
        Turn();
        _world["a"].Assigned = new Epoch(_placement.Plan!.Epoch.Generation + 5, 0);
        (_world["a"].Load, _world["a"].Held) = ([], [1, 2]);
        Turn();

        Assert.Equal(12, _world["a"].Load.Length);
        Assert.True(_world["a"].Assigned > new Epoch(_placement.Plan!.Epoch.Generation - 1, 9));
    }

    [Fact]
    public void A_report_of_another_model_or_with_nonsense_is_refused_with_the_reason()
    {
        Join("a");
        Turn();
        World world = new();

        Assert.Contains("--cluster-id", Assert.Throws<ArgumentException>(() => _placement.Report(new SiloReport("b", new ExpertGrid(1, 3, 6), [world.Report("b")]))).Message);
        world.Held = [3, 3];
        Assert.Throws<ArgumentException>(() => _placement.Report(new SiloReport("b", Grid, [world.Report("b")])));
        world.Held = [12];
        Assert.Throws<ArgumentException>(() => _placement.Report(new SiloReport("b", Grid, [world.Report("b")])));
        Assert.Throws<ArgumentException>(() => _placement.Report(new SiloReport("b", new ExpertGrid(0, int.MaxValue, int.MaxValue), [new World().Report("b")])));
    }

    [Fact]
    public void A_plan_for_Kimi_K2_on_64_shards_is_made_at_once()
    {
        ExpertGrid grid = new(1, 60, 384);
        for (int silo = 0; silo < 64; silo++)
            _placement.Report(new SiloReport($"s{silo:00}", grid, [new World { Capacity = 400 + silo }.Report($"s{silo:00}")]));
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        IReadOnlyList<(ShardId, ShardAssignment Assignment)> sent = _placement.Advance(new SiloView(new HashSet<string>(), new HashSet<string>()));

        Assert.InRange(System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 20); // measured well below one
        Assert.Equal(grid.Count, sent.Sum(message => message.Assignment.Load.Length));
    }

    private PlacementState Start() => new(new PlacementOptions(), _time);

    private void Join(string silo, int capacity = 100) => _world[silo] = new World { Capacity = capacity };

    private void LoadAll()
    {
        foreach (World world in _world.Values)
            world.Held = [.. world.Held.Union(world.Load).Order()];
    }

    private Epoch Acknowledge(string gateway)
    {
        _placement.Acknowledge(gateway, _placement.Plan!.Epoch);
        return _placement.Plan!.Epoch;
    }

    /// <summary>Time passes, and everybody alive has reported again.</summary>
    private void Later(int seconds = 6)
    {
        _time.Advance(TimeSpan.FromSeconds(seconds));
        ReportAll();
    }

    private void Turn(string[]? gone = null)
    {
        ReportAll();
        SiloView view = View(gone ?? []);
        _time.Advance(TimeSpan.FromMilliseconds(250));
        foreach ((ShardId shard, ShardAssignment assignment) in _placement.Advance(view))
            (_world[shard.Silo].Load, _world[shard.Silo].Drop, _world[shard.Silo].Assigned) = (assignment.Load, assignment.Drop, assignment.Epoch);
    }

    private void ReportAll()
    {
        foreach ((string silo, World world) in _world.Where(entry => entry.Value.Capacity >= 0))
            _placement.Report(new SiloReport(silo, Grid, [world.Report(silo)]));
    }

    private SiloView View(string[] gone) => new(_world.Keys.ToHashSet(), gone.ToHashSet());

    private string OwnerOf(int expert) => _placement.Plan!.Shards[Assert.Single(_placement.Plan.ReplicasOf(expert).ToArray())].Id.Silo;

    /// <summary>What a silo with one shard is in truth. Made without a capacity, it is a member that has not reported.</summary>
    private sealed class World
    {
        public int Capacity { get; init; } = -1;

        public long Incarnation { get; init; } = 1;

        public string Kind { get; set; } = "cpu";

        public ImmutableArray<int> Held { get; set; } = [];

        public ImmutableArray<int> Load { get; set; } = [];

        public ImmutableArray<int> Drop { get; set; } = [];

        public string? Problem { get; set; }

        public Epoch Assigned { get; set; }

        public ShardReport Report(string silo) => new()
        {
            Shard = new PlannedShard(new ShardId("m", silo, 0), Incarnation, Kind, "int4-g32"),
            WeightsBudget = (Capacity < 0 ? 100 : Capacity) * 2L << 20,
            ExpertBytes = 2 << 20,
            Held = Held,
            Loading = Load.Except(Held).Count(),
            Problem = Problem,
            Assigned = Assigned,
        };
    }
}
