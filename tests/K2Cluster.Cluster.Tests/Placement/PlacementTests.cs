using System.Collections.Immutable;
using K2Cluster.Contracts;
using K2Cluster.Grains.Placement;
using K2Cluster.Planning;
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
            _placement.Advance(new SiloView(new HashSet<string> { "a" }, new HashSet<string>(), new HashSet<string>()));
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

    [Theory]
    [InlineData(1023, "1023 bytes")]
    [InlineData(290_304, "283.5 KiB")]
    [InlineData(8L << 20, "8.0 MiB")]
    [InlineData(594L << 30, "594.0 GiB")]
    public void Sizes_have_units_that_people_read(long bytes, string text) => Assert.Equal(text, PlanProblem.Bytes(bytes));

    [Fact]
    public void Too_little_memory_is_said_with_the_bytes_that_are_missing()
    {
        Join("a", capacity: 5);
        Join("b", capacity: 3);
        Turn();
        LoadAll();
        Turn();

        Assert.Equal("4 of 12 experts are on no shard (layer 2 expert 2, layer 2 expert 3, layer 2 expert 4, …); 4 find no room on a working shard, 8.0 MiB are missing: start another silo or raise --memory", _placement.Plan!.Incomplete);
        Assert.Equal("4 of 12 experts are on no shard; 8.0 MiB of memory are missing for 4: the operator must start another silo or raise --memory", _placement.Plan!.PublicIncomplete);
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
        Assert.Equal("6 of 12 experts are on no shard; 6 are being loaded by silos; 1 of 2 shards report a problem, which k2 cluster status tells the operator", _placement.Plan!.PublicIncomplete);
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
    public void A_silo_that_leaves_serves_until_its_experts_are_elsewhere()
    {
        Join("a");
        Join("b");
        Turn();
        LoadAll();
        Turn();
        Acknowledge("gateway");
        Assert.Null(_placement.CountHomeless("a"));

        _world["a"].Leaves = true;
        ImmutableArray<int> leaving = _world["a"].Held;
        ReportAll();
        Assert.Null(_placement.CountHomeless("a")); // not looked at yet
        Turn();
        Assert.Equal(0, _placement.CountHomeless("a"));
        Assert.Null(_placement.Plan!.Incomplete);
        Assert.All(leaving, expert => Assert.Equal("a", OwnerOf(expert)));
        Assert.Equal(12, _world["b"].Load.Length);

        LoadAll();
        Later();
        Turn();
        Assert.All(leaving, expert => Assert.Equal("b", OwnerOf(expert)));
        Assert.Empty(_world["a"].Drop); // the gateway has not heard yet

        Acknowledge("gateway");
        Turn();
        Assert.Equal(leaving.ToArray(), _world["a"].Drop.ToArray());
        Assert.Empty(_world["a"].Load);
        Assert.Null(_placement.Plan!.Incomplete);
    }

    [Theory]
    [InlineData(9, 3)]
    [InlineData(null, 6)]
    public void What_the_others_have_no_room_for_when_a_silo_leaves_is_counted(int? room, int homeless)
    {
        Join("a");
        Join("b", capacity: room ?? 100);
        Turn();
        LoadAll();
        Turn();
        _world["a"].Leaves = true;
        // A whole cluster that is stopped.
        _world["b"].Leaves = room is null;
        Turn();
        Assert.Equal(homeless, _placement.CountHomeless("a"));
        Assert.Null(_placement.Plan!.Incomplete);
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
    public void Experts_are_shared_by_measured_speed_and_who_has_not_measured_is_taken_to_be_as_its_like()
    {
        _world["a"] = new World { Capacity = 100, RowsPerSecond = 400 };
        _world["b"] = new World { Capacity = 100, RowsPerSecond = 200 };
        Join("c");
        Turn();

        Assert.Equal((2, 10), (_world["b"].Load.Length, _world["a"].Load.Length + _world["c"].Load.Length));
        Assert.InRange(_world["a"].Load.Length, 4, 6);
    }

    [Fact]
    public void A_hot_expert_gets_a_replica_on_another_silo_and_loses_it_when_it_is_cool()
    {
        Join("a");
        Join("b");
        Turn();
        LoadAll();
        Turn();
        Acknowledge("gateway");
        string owner = OwnerOf(0);
        World other = _world[owner == "a" ? "b" : "a"];
        Ask(hot: 4);
        Turn();
        Assert.DoesNotContain(0, other.Load); // not before the time has come

        Later(seconds: 9);
        Later(seconds: 9);
        Later(seconds: 9);
        Later(seconds: 9);
        Turn();
        Assert.Contains(0, other.Load);
        Assert.Equal(owner, OwnerOf(0)); // until the other has loaded it
        Assert.Equal(PlanReason.Hot, _placement.Intended!.Explain(0)[1].Reason);

        LoadAll();
        Turn();
        Assert.Equal([0, 1], _placement.Plan!.ReplicasOf(0).ToArray());

        for (int i = 0; i < 4; i++)
        {
            Ask(hot: 1, times: 50);
            Later(seconds: 9);
            Acknowledge("gateway");
        }

        Turn();
        Assert.Single(_placement.Plan!.ReplicasOf(0).ToArray());
        Assert.Empty(_world.Values.SelectMany(world => world.Drop)); // the gateway still sends to both

        Acknowledge("gateway");
        Turn();
        Assert.Equal([0], _world.Values.SelectMany(world => world.Drop));

        // Each expert is asked for as often as another, the first so many times more often.
        void Ask(uint hot, uint times = 1)
        {
            for (int expert = 0; expert < Grid.Count; expert++)
                (_world[owner].Rows[expert], other.Rows[expert]) = (_world[owner].Rows[expert] + (100 * times * (expert == 0 ? hot : 1)), other.Rows[expert]);
            foreach (int expert in other.Held.Where(expert => !_world[owner].Held.Contains(expert)))
                other.Rows[expert] += 100 * times;
        }
    }

    [Fact]
    public void Unless_told_otherwise_every_expert_gets_a_second_replica_once_all_have_one_and_outlives_a_silo()
    {
        _placement = new PlacementState(new PlacementOptions(), _time);
        Join("a");
        Join("b");
        Turn();
        Assert.Equal((6, 6), (_world["a"].Load.Length, _world["b"].Load.Length));

        LoadAll();
        Turn();
        Assert.Null(_placement.Plan!.Incomplete);
        Assert.Equal((12, 12), (_world["a"].Load.Length, _world["b"].Load.Length));
        Assert.Equal(_world["b"].Held.ToArray(), _world["a"].Further.ToArray()); // it is ready without them

        LoadAll();
        Turn();
        Assert.All(Enumerable.Range(0, Grid.Count), expert => Assert.Equal([0, 1], _placement.Plan!.ReplicasOf(expert).ToArray()));

        _world.Remove("b");
        Turn(gone: ["b"]);
        Assert.Null(_placement.Plan!.Incomplete);
    }

    [Fact]
    public void What_nobody_holds_is_urgent_and_the_rest_is_balanced_as_soon_as_it_is_there()
    {
        _placement = Start();
        foreach (string silo in new[] { "a", "b", "c" })
            Join(silo);
        Turn();
        LoadAll();
        Turn();
        int[] lost = [.. _world["c"].Held];
        _world.Remove("c");
        Turn(gone: ["c"]);
        Assert.All(_world.Values, world => Assert.Equal(world.Load.Intersect(lost), world.Urgent));
        Assert.All(_world.Values, world => Assert.Equal(2, world.Urgent.Length));

        Join("d"); // has its share of what the others hold, too
        Turn();
        Assert.NotEmpty(_world["d"].Load.Except(lost));
        Assert.Equal(lost, _world.Values.SelectMany(world => world.Load.Intersect(lost)).Order());

        bool wasMissing = _placement.Intended!.IsMissingSome;
        LoadAll();
        Turn();
        Assert.Equal((true, false), (wasMissing, _placement.Intended!.IsMissingSome)); // planned anew, not 30 s later
    }

    [Fact]
    public void A_rebalance_goes_on_when_what_it_moved_has_made_room()
    {
        _placement = Start();
        _world["c"] = new World { Capacity = 12 };
        _world["g1"] = new World { Capacity = 9, Kind = "cuda-sm_90" };
        Turn();
        LoadAll();
        Turn();
        Assert.Equal((3, 9), (_world["c"].Held.Length, _world["g1"].Held.Length));

        _world["g2"] = new World { Capacity = 5, Kind = "cuda-sm_90" };
        Turn();
        LoadAll();
        Assert.Equal(9, _world["g1"].Held.Length); // not dropped yet
        _placement.Rebalance();
        Turn();
        Assert.NotEmpty(_world["c"].Load);
        Later(7); // drops may be sent
        for (int i = 0; i < 10; i++)
        {
            Turn();
            LoadAll();
            foreach (World world in _world.Values)
                world.Held = [.. world.Held.Except(world.Drop)];
        }

        Assert.Empty(_world["c"].Held);
        Assert.Equal(12, _world.Values.Sum(world => world.Held.Length));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Replicas_make_room_for_what_a_dead_silo_had_as_soon_as_every_gateway_has_asked_a_new_placement(bool asks)
    {
        _placement = new PlacementState(new PlacementOptions(), _time);
        foreach (string silo in new[] { "a", "b", "c" })
            Join(silo, capacity: 8);
        for (int i = 0; i < 3; i++)
        {
            Turn();
            LoadAll();
        }

        Turn();
        Assert.True(Enumerable.Range(0, Grid.Count).Count(expert => _placement.Plan!.ReplicasOf(expert).Length == 2) > 4);

        _world.Remove("c");
        _placement = new PlacementState(new PlacementOptions(), _time); // it lived there, too
        Turn(gone: ["c"], gateways: ["gateway"]);
        Assert.NotNull(_placement.Plan!.Incomplete);
        Assert.Empty(_world.Values.SelectMany(world => world.Drop));
        if (asks)
            Acknowledge("gateway");
        Turn(gone: ["c"], gateways: ["gateway"]);
        Assert.Equal(asks, _world.Values.Any(world => !world.Drop.IsEmpty));
    }

    [Fact]
    public void What_somebody_waits_for_is_published_sooner_than_a_further_replica()
    {
        _placement = new PlacementState(new PlacementOptions(), _time);
        Join("a");
        Join("b");
        Turn();
        _world["a"].Held = _world["a"].Load[..1];
        PlacementPlan before = _placement.Plan!;
        Assert.False(IsPublishedAfter(40));
        Assert.True(IsPublishedAfter(20));

        LoadAll();
        Turn();
        _world["a"].Held = [.. _world["a"].Load[..7].Union(_world["a"].Held).Order()];
        before = _placement.Plan!;
        Assert.False(IsPublishedAfter(190));
        Assert.True(IsPublishedAfter(20));

        bool IsPublishedAfter(int milliseconds)
        {
            _time.Advance(TimeSpan.FromMilliseconds(milliseconds));
            ReportAll();
            _placement.Advance(View([]));
            return !ReferenceEquals(_placement.Plan, before);
        }
    }

    [Fact]
    public void What_a_wish_would_do_is_told_without_doing_it()
    {
        Join("a");
        Assert.Null(_placement.WhatIf(PlanWishes.None));
        Join("b");
        Turn();
        LoadAll();
        Turn();
        Acknowledge("gateway");
        PlanWishes wishes = new() { Drained = ["b"] };

        ExpertPlan plan = _placement.WhatIf(wishes)!;
        Later();
        Turn();
        Assert.All(Enumerable.Range(0, Grid.Count), expert => Assert.Equal("m/a/0", Assert.Single(plan.Explain(expert)).Device));
        Assert.Equal((6, 6), (_world["a"].Load.Length, _world["b"].Load.Length));

        _placement.Wishes = wishes;
        Turn();
        Assert.Equal((12, 0), (_world["a"].Load.Length, _world["b"].Load.Length));
        Assert.Empty(_world["b"].Drop);
        LoadAll();
        Turn();
        Acknowledge("gateway");
        Turn();
        Assert.Equal(6, _world["b"].Drop.Length);
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
        IReadOnlyList<(ShardId, ShardAssignment Assignment)> sent = _placement.Advance(new SiloView(new HashSet<string>(), new HashSet<string>(), new HashSet<string>()));

        Assert.InRange(System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 20); // measured well below one
        Assert.Equal(grid.Count, sent.Sum(message => message.Assignment.Load.Length));
    }

    [Fact]
    public void Looking_at_what_64_shards_of_Kimi_K2_report_makes_no_object_for_each_expert()
    {
        ExpertGrid grid = new(1, 60, 384);
        SiloView view = new(new HashSet<string>(), new HashSet<string>(), new HashSet<string>());
        World[] worlds = [.. Enumerable.Range(0, 64).Select(silo => new World { Capacity = 400 })];
        for (int turn = 0; turn < 3; turn++)
        {
            for (int silo = 0; silo < worlds.Length; silo++)
                _placement.Report(new SiloReport($"s{silo:00}", grid, [worlds[silo].Report($"s{silo:00}")]));
            foreach ((ShardId id, ShardAssignment assignment) in _placement.Advance(view))
                worlds[int.Parse(id.Silo[1..])].Load = assignment.Load;
            foreach (World world in worlds)
                world.Held = world.Load;
        }

        Assert.Null(_placement.Plan!.Incomplete);
        long before = GC.GetAllocatedBytesForCurrentThread();
        _placement.Advance(view);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20); // a list of each takes more
    }

    /// <summary>One that wants no more replicas than loads ask for, so that moves can be told from them.</summary>
    private PlacementState Start() => new(new PlacementOptions(), _time) { Wishes = new PlanWishes { Replicas = 1 } };

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

    private void Turn(string[]? gone = null, string[]? gateways = null)
    {
        ReportAll();
        SiloView view = View(gone ?? [], gateways);
        _time.Advance(TimeSpan.FromMilliseconds(250));
        foreach ((ShardId shard, ShardAssignment assignment) in _placement.Advance(view))
            (_world[shard.Silo].Load, _world[shard.Silo].Further, _world[shard.Silo].Urgent, _world[shard.Silo].Drop, _world[shard.Silo].Assigned) = (assignment.Load, assignment.Further, assignment.Urgent, assignment.Drop, assignment.Epoch);
    }

    private void ReportAll()
    {
        foreach ((string silo, World world) in _world.Where(entry => entry.Value.Capacity >= 0))
            _placement.Report(new SiloReport(silo, Grid, [world.Report(silo)]));
    }

    private SiloView View(string[] gone, string[]? gateways = null) => new(_world.Keys.ToHashSet(), gone.ToHashSet(), (gateways ?? []).ToHashSet());

    private string OwnerOf(int expert) => _placement.Plan!.Shards[Assert.Single(_placement.Plan.ReplicasOf(expert).ToArray())].Id.Silo;

    /// <summary>What a silo with one shard is in truth. Made without a capacity, it is a member that has not reported.</summary>
    private sealed class World
    {
        public int Capacity { get; init; } = -1;

        public long Incarnation { get; init; } = 1;

        public string Kind { get; set; } = "cpu";

        public ImmutableArray<int> Held { get; set; } = [];

        public ImmutableArray<int> Load { get; set; } = [];

        public ImmutableArray<int> Further { get; set; } = [];

        public ImmutableArray<int> Urgent { get; set; } = [];

        public ImmutableArray<int> Drop { get; set; } = [];

        public string? Problem { get; set; }

        public bool Leaves { get; set; }

        public Epoch Assigned { get; set; }

        public double RowsPerSecond { get; init; }

        /// <summary>[experts]: rows so far.</summary>
        public uint[] Rows { get; } = new uint[12];

        public ShardReport Report(string silo) => new()
        {
            Shard = new PlannedShard(new ShardId("m", silo, 0), Incarnation, Kind, "int4-g32"),
            WeightsBudget = Leaves ? 0 : (Capacity < 0 ? 100 : Capacity) * 2L << 20,
            ExpertBytes = 2 << 20,
            Held = Held,
            Loading = Load.Except(Held).Count(),
            Problem = Problem,
            Assigned = Assigned,
            RowsPerSecond = RowsPerSecond,
            Rows = [.. Held.Select(expert => Rows[Math.Min(expert, 11)])],
            UsesHostThreads = Kind == "cpu",
        };
    }
}
