using System.Collections.Immutable;

namespace K2Cluster.Planning.Tests;

public class ExpertPlannerTests
{
    private static readonly PlanShape K2 = new(60, 384, 1);

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(64)]
    public void Any_number_of_alike_devices_gets_equal_parts_of_every_layer(int count)
    {
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(K2, Plans.Devices([.. Enumerable.Repeat(23_040, count)])));

        Assert.Equal(0, plan.Missing);
        foreach (string[] layer in Plans.Owners(plan).Chunk(384))
            Assert.All(layer.CountBy(owner => owner), owner => Assert.InRange(owner.Value, 384 / count, (384 / count) + 1));
        int[] all = [.. Plans.Owners(plan).CountBy(owner => owner).Select(owner => owner.Value)];
        Assert.InRange(all.Max() - all.Min(), 0, 1); // what is odd in a layer goes to another device in the next
    }

    [Fact]
    public void Load_over_speed_is_balanced_in_every_layer_and_the_hottest_go_to_the_fast_devices()
    {
        PlanShape shape = new(8, 256);
        PlanDevice[] devices = [Plans.Device(0, 2048, 1), Plans.Device(1, 2048, 2), Plans.Device(2, 2048, 4), Plans.Device(3, 2048, 4)];
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Load = Plans.Skewed(shape, power: 0.5), Options = new PlannerOptions { MaxReplicas = 1 } });

        Assert.InRange(Plans.Excess(plan), 1, 1.02);
        foreach (int layer in Enumerable.Range(0, 8))
        {
            int hottest = Enumerable.Range(layer * 256, 256).MaxBy(plan.LoadOf);
            Assert.Equal(4, plan.Devices[plan.OwnerOf(hottest)].Speed);
        }
    }

    [Fact]
    public void Where_a_fast_device_is_small_it_gets_the_hot_experts_and_a_large_one_the_cold()
    {
        // Both equally fast: half of the load each, but the small one has room for a quarter of the experts.
        PlanShape shape = new(6, 64);
        PlanDevice[] devices = Plans.Devices(6 * 16, 6 * 64);
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Load = Plans.Skewed(shape), Options = new PlannerOptions { MaxReplicas = 1 } });

        Assert.Equal(0, plan.Missing);
        Assert.InRange(Plans.LoadOn(plan, "d000") / (6 * 64), 0.45, 0.55);
        Assert.InRange(Plans.Held(plan, "d000").Length, 1, 6 * 16);
        Assert.InRange(Plans.Excess(plan), 1, 1.05);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_slow_device_gets_only_the_coldest_experts_that_find_no_room_elsewhere(bool isSkewed)
    {
        PlanShape shape = new(10, 32);
        PlanDevice[] devices = [Plans.Device(0, 100, 50), Plans.Device(1, 140, 60), Plans.Device(2, 320, 1, kind: "cpu") with { UsesHostThreads = true }];
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Load = isSkewed ? Plans.Skewed(shape) : null });

        Assert.Equal([100, 140, 80], devices.Select(device => Plans.Held(plan, device.Id).Length));
        foreach (int layer in Enumerable.Range(0, 10))
        {
            int[] experts = [.. Enumerable.Range(layer * 32, 32)];
            int[] slow = [.. experts.Where(expert => plan.OwnerOf(expert) == 2)];
            Assert.InRange(slow.Length, 6, 10); // no layer has all of it
            Assert.True(slow.Max(plan.LoadOf) <= experts.Except(slow).Min(plan.LoadOf));
        }

        ExpertPlan larger = ExpertPlanner.Plan(Plans.Request(shape, [devices[0], devices[1] with { Capacity = 1000 }, devices[2]]));
        Assert.Empty(Plans.Held(larger, "d002"));
    }

    [Fact]
    public void A_device_with_processors_of_its_own_comes_before_a_host_however_fast_that_is()
    {
        PlanDevice[] devices = [Plans.Device(0, 100, 3), Plans.Device(1, 100, 5, kind: "cpu") with { UsesHostThreads = true }];
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(new PlanShape(2, 8), devices));

        Assert.Equal(16, Plans.Held(plan, "d000").Length);
    }

    [Fact]
    public void Nothing_gets_more_than_fits_and_what_finds_no_room_is_left_out()
    {
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(new PlanShape(2, 10), Plans.Devices(9, 3, 5)));

        Assert.Equal([9, 3, 5], plan.Devices.Select(device => Plans.Held(plan, device.Id).Length));
        Assert.Equal(3, plan.Missing);
        Assert.Equal(3, Enumerable.Range(0, 20).Count(expert => plan.ReplicasOf(expert).IsEmpty));
        Assert.Equal(20, ExpertPlanner.Plan(Plans.Request(new PlanShape(2, 10), [])).Missing);
    }

    [Fact]
    public void Hot_experts_are_replicated_by_load_on_other_hosts_of_their_kind_and_head_room_is_left()
    {
        PlanShape shape = new(4, 64);
        PlanDevice[] devices = [.. Enumerable.Range(0, 8).Select(i => Plans.Device(i, 60, host: $"h{i / 2}", kind: i < 4 ? "sm_80" : "sm_90"))];
        double[] load = Plans.Skewed(shape);
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Load = load });

        for (int expert = 0; expert < shape.Count; expert++)
        {
            int[] replicas = plan.ReplicasOf(expert).ToArray();
            Assert.Single(replicas.Select(device => plan.Devices[device].Kind).Distinct());
            Assert.Equal(replicas.Length, replicas.Distinct().Count());
            Assert.Equal(Math.Clamp((int)Math.Ceiling(plan.LoadOf(expert) / 2), 1, 4), replicas.Length);
            Assert.Equal(Math.Min(2, replicas.Length), replicas.Select(device => plan.Devices[device].Host).Distinct().Count());
        }

        ExpertPlan without = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Load = load, Options = new PlannerOptions { MaxReplicas = 1 } });
        Assert.InRange(Plans.Excess(plan), 1, 1.05);
        Assert.InRange(Plans.Excess(without), 1.6, 2);

        PlanDevice[] small = [.. devices.Select(device => device with { Capacity = 40 })];
        ExpertPlan tight = ExpertPlanner.Plan(Plans.Request(shape, small) with { Load = load });
        Assert.All(tight.Devices, device => Assert.InRange(Plans.Held(tight, device.Id).Length, 1, 40));
        Assert.InRange(tight.Devices.Sum(device => Plans.Held(tight, device.Id).Length), 4 * 64 + 1, 8 * 38);
        Assert.Equal(0, tight.Missing);
    }

    [Fact]
    public void Memory_of_fast_devices_goes_to_owners_before_it_goes_to_replicas()
    {
        PlanShape shape = new(4, 64);
        PlanDevice[] devices = [Plans.Device(0, 100, 50), Plans.Device(1, 100, 50), Plans.Device(2, 256, 1, kind: "cpu")];
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Load = Plans.Skewed(shape) });

        Assert.Equal(200, Plans.Owners(plan).Count(owner => owner is "d000" or "d001"));
    }

    [Theory]
    [InlineData(4, 12, 2)]
    [InlineData(60, 384, 7)]
    [InlineData(60, 384, 63)]
    public void A_device_that_joins_gets_its_share_and_nothing_else_moves(int layers, int experts, int before)
    {
        PlanShape shape = new(layers, experts);
        PlanDevice[] devices = Plans.Devices([.. Enumerable.Repeat(shape.Count, before)]);
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices));
        PlanDevice joined = Plans.Device(before, shape.Count);
        ExpertPlan second = ExpertPlanner.Plan(Plans.Request(shape, [.. devices.Loaded(first), joined]) with { Previous = first });

        (string, string)[] moved = [.. Plans.Owners(first).Zip(Plans.Owners(second)).Where(pair => pair.First != pair.Second)];
        Assert.All(moved, move => Assert.Equal(joined.Id, move.Item2));
        Assert.InRange(moved.Length, layers * (experts / (before + 1)), layers * ((experts / (before + 1)) + 1));
    }

    [Theory]
    [InlineData("sm_80", 1, false)]
    [InlineData("cpu", 0.01, true)]
    public void For_speed_alone_nothing_that_is_held_goes_to_another_kind_unless_that_is_asked_for(string kind, double speed, bool usesHostThreads)
    {
        PlanShape shape = new(4, 12);
        PlanDevice[] devices = [.. Enumerable.Range(0, 2).Select(i => Plans.Device(i, shape.Count, speed, kind: kind) with { UsesHostThreads = usesHostThreads })];
        ExpertPlan first = ExpertPlanner.Plan(new PlanRequest(shape, devices) { Load = Plans.Skewed(shape) });
        PlanDevice joined = Plans.Device(2, shape.Count, speed: 2, kind: "sm_90");
        PlanRequest request = new(shape, [.. devices.Loaded(first), joined]) { Previous = first, Load = Plans.Skewed(shape) };

        Assert.Empty(Plans.Held(ExpertPlanner.Plan(request), joined.Id));
        ExpertPlan asked = ExpertPlanner.Plan(request with { Options = new PlannerOptions { IsRebalance = true } });
        Assert.NotEmpty(Plans.Held(asked, joined.Id));

        // And stays there, also before it is loaded.
        ExpertPlan after = ExpertPlanner.Plan(request with { Previous = asked });
        Assert.Equal(Plans.Owners(asked), Plans.Owners(after));

        // Before anybody holds it, an expert goes where it is best.
        ExpertPlan early = ExpertPlanner.Plan(request with { Devices = [.. devices, joined] });
        Assert.NotEmpty(Plans.Held(early, joined.Id));
    }

    [Fact]
    public void What_cannot_stay_goes_to_another_kind()
    {
        PlanShape shape = new(4, 12);
        PlanDevice[] devices = [Plans.Device(0, shape.Count, kind: "sm_80"), Plans.Device(1, shape.Count, kind: "sm_90")];
        PlanRequest request = Plans.Request(shape, devices[..1]);
        ExpertPlan first = ExpertPlanner.Plan(request);
        request = request with { Devices = [.. devices.Loaded(first)], Previous = first };

        Assert.Equal(shape.Count, Plans.Held(ExpertPlanner.Plan(request with { Wishes = request.Wishes with { Drained = ["h000"] } }), "d001").Length);
        Assert.Equal(shape.Count, Plans.Held(ExpertPlanner.Plan(request with { Devices = devices[1..] }), "d001").Length);
        PlanDevice[] shrunk = [request.Devices[0] with { Capacity = 20 }, devices[1]];
        Assert.Equal(shape.Count - 20, Plans.Held(ExpertPlanner.Plan(request with { Devices = shrunk }), "d001").Length);
    }

    [Fact]
    public void A_device_that_joins_takes_from_those_of_its_kind_although_others_are_slower()
    {
        PlanShape shape = new(4, 24);
        PlanDevice[] devices = [.. Enumerable.Range(0, 4).Select(i => Plans.Device(i, shape.Count, kind: i < 2 ? "sm_80" : "sm_90"))];
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices));
        PlanDevice[] slower = [.. devices.Loaded(first).Select(device => device.Kind == "sm_80" ? device with { Speed = 0.5 } : device)];
        PlanDevice joined = Plans.Device(4, shape.Count, kind: "sm_90");
        ExpertPlan second = ExpertPlanner.Plan(Plans.Request(shape, [.. slower, joined]) with { Previous = first });

        Assert.Equal([24, 24, 16, 16, 16], second.Devices.Select(device => Plans.Held(second, device.Id).Length));
    }

    [Theory]
    [InlineData(4, 12, 3)]
    [InlineData(60, 384, 8)]
    public void When_a_device_leaves_only_its_experts_move(int layers, int experts, int before)
    {
        PlanShape shape = new(layers, experts);
        PlanDevice[] devices = Plans.Devices([.. Enumerable.Repeat(shape.Count, before)]);
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices));
        ExpertPlan second = ExpertPlanner.Plan(Plans.Request(shape, devices.Loaded(first)[..^1]) with { Previous = first });

        Assert.Equal(0, second.Missing);
        Assert.All(Plans.Owners(first).Zip(Plans.Owners(second)).Where(pair => pair.First != devices[^1].Id), pair => Assert.Equal(pair.First, pair.Second));
    }

    /// <summary>Requests wait for what was lost, and that is there when the survivor that loads longest has loaded.</summary>
    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 1)]
    [InlineData(true, 2)]
    public void What_a_lost_device_had_is_loaded_by_the_others_in_parts_as_they_are_fast(bool isSkewed, double speed)
    {
        PlanShape shape = new(8, 60);
        PlanDevice[] survivors = [Plans.Device(0, shape.Count, 1) with { Held = [.. Enumerable.Range(0, shape.Count).Where(expert => expert % 20 < 9)] }, Plans.Device(1, shape.Count, speed) with { Held = [.. Enumerable.Range(0, shape.Count).Where(expert => expert % 20 is >= 9 and < 13)] }];
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, survivors) with { Load = isSkewed ? Plans.Skewed(shape) : null });

        int[] loads = [.. survivors.Select(device => Plans.Held(plan, device.Id).Except(device.Held).Count())];
        Assert.Equal(0, plan.Missing);
        Assert.InRange(loads[1] / (double)loads.Sum(), (speed / (1 + speed)) - 0.05, (speed / (1 + speed)) + 0.05);
    }

    [Fact]
    public void A_survivor_with_little_room_does_not_get_all_that_is_hot()
    {
        PlanShape shape = new(6, 128);
        int[] held = [.. Enumerable.Range(0, shape.Count).Where(expert => expert % 2 == 0)];
        PlanDevice[] survivors = [Plans.Device(0, 192 + 96) with { Held = [.. held.Where(expert => expert % 4 == 0)] }, Plans.Device(1, 192 + 384) with { Held = [.. held.Where(expert => expert % 4 == 2)] }];
        double[] load = Plans.Skewed(shape);
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, survivors) with { Load = load, Options = new PlannerOptions { MaxReplicas = 1 } });

        int[][] lost = [.. survivors.Select(device => Plans.Held(plan, device.Id).Except(held).ToArray())];
        Assert.Equal((0, 384), (plan.Missing, lost.Sum(experts => experts.Length)));
        Assert.InRange(lost[0].Length, 80, 96);
        Assert.InRange(lost[0].Sum(expert => load[expert]) / lost.Sum(experts => experts.Sum(expert => load[expert])), 0.2, 0.55);
        Assert.InRange(Plans.Excess(plan), 1, 1.2);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void While_experts_are_missing_nothing_is_balanced_unless_an_operator_says_so(bool isRebalance)
    {
        PlanShape shape = new(2, 16);
        PlanDevice[] devices = [Plans.Device(0, 32) with { Held = [.. Enumerable.Range(0, 30)] }, Plans.Device(1, 32) with { Held = [30] }];
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Options = new PlannerOptions { IsRebalance = isRebalance } });
        Assert.True(plan.IsMissingSome);
        Assert.Equal(isRebalance, Plans.Held(plan, "d001").Length > 2);

        ExpertPlan whole = ExpertPlanner.Plan(Plans.Request(shape, devices.Loaded(plan)) with { Previous = plan });
        Assert.False(whole.IsMissingSome);
        Assert.Equal(16, Plans.Held(whole, "d001").Length);
    }

    [Fact]
    public void A_device_that_hung_keeps_what_it_holds_when_it_answers_again()
    {
        PlanShape shape = new(4, 16);
        PlanDevice[] devices = Plans.Devices(64, 64);
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices));
        devices = devices.Loaded(first);
        PlanDevice hung = devices[1] with { Capacity = 0, Held = [], CanLoad = false };
        ExpertPlan without = ExpertPlanner.Plan(Plans.Request(shape, [devices[0], hung]) with { Previous = first });
        ExpertPlan again = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Previous = without });
        Assert.Equal(Plans.Owners(first), Plans.Owners(again));
    }

    [Fact]
    public void A_device_that_was_only_late_keeps_what_it_holds()
    {
        PlanShape shape = new(4, 16);
        PlanDevice[] devices = Plans.Devices(64, 64);
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices));
        devices = devices.Loaded(first);
        ExpertPlan without = ExpertPlanner.Plan(Plans.Request(shape, devices[..1]) with { Previous = first });
        Assert.All(Plans.Owners(without), owner => Assert.Equal(devices[0].Id, owner));

        ExpertPlan again = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Previous = without });
        Assert.Equal(Plans.Owners(first), Plans.Owners(again));
    }

    [Fact]
    public void What_is_still_missing_when_a_device_joins_is_loaded_by_all_and_nothing_moves_without_need()
    {
        PlanShape shape = new(4, 16);
        PlanDevice[] devices = Plans.Devices(64, 64, 64);
        int[] loaded = [.. Enumerable.Range(0, 20)];
        PlanDevice[] lonely = [devices[0] with { Held = [.. loaded] }];
        ExpertPlan before = ExpertPlanner.Plan(Plans.Request(shape, lonely));
        ExpertPlan after = ExpertPlanner.Plan(Plans.Request(shape, [.. lonely, .. devices[1..]]) with { Previous = before });

        int[] missing = [.. Enumerable.Range(20, 44)];
        Assert.All(devices, device => Assert.InRange(Plans.Held(after, device.Id).Intersect(missing).Count(), 13, 16));
        ExpertPlan again = ExpertPlanner.Plan(Plans.Request(shape, [.. lonely, .. devices[1..]]) with { Previous = after });
        Assert.Equal(Plans.Owners(after), Plans.Owners(again));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Where_memory_is_short_the_survivors_keep_all_that_they_hold(int dead)
    {
        PlanShape shape = new(4, 16);
        PlanDevice[] devices = Plans.Devices(22, 22, 22);
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices));
        ExpertPlan second = ExpertPlanner.Plan(Plans.Request(shape, [.. devices.Loaded(first).Where((_, i) => i != dead)]) with { Previous = first });

        string gone = devices[dead].Id;
        Assert.All(Plans.Owners(first).Zip(Plans.Owners(second)).Where(pair => pair.First != gone), pair => Assert.Equal(pair.First, pair.Second));
        Assert.Equal(64 - 44, second.Missing);
    }

    [Fact]
    public void Full_devices_never_wait_for_each_other()
    {
        PlanShape shape = new(3, 20);
        for (int seed = 0; seed < 50; seed++)
        {
            PlanDevice[] devices = Plans.Devices(22, 24, 20);
            ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Load = Plans.Skewed(shape, seed) });
            PlanDevice[] loaded = devices.Loaded(first);
            ExpertPlan second = ExpertPlanner.Plan(Plans.Request(shape, loaded) with { Previous = first, Load = Plans.Skewed(shape, seed + 1000) });

            Assert.False(first.IsSameAs(second));
            Assert.Equal(0, second.Missing);
            CarryOut(second, loaded, new Random(seed));
        }
    }

    [Fact]
    public void A_plan_that_is_loaded_is_planned_again_as_it_is()
    {
        Random random = new(5);
        for (int round = 0; round < 200; round++)
        {
            PlanShape shape = new(random.Next(1, 9), random.Next(1, 40));
            PlanDevice[] devices = [.. Enumerable.Range(0, random.Next(1, 7)).Select(i => Plans.Device(i, random.Next(1, 2 * shape.Count), random.Next(1, 5), host: $"h{i / 2}"))];
            double[]? load = round % 2 == 0 ? null : Plans.Skewed(shape, round);
            // With replicas a plan may still be mended once, when it is seen as a whole.
            PlannerOptions options = new() { MaxReplicas = round % 4 == 1 ? 4 : 1 };
            PlanWishes wishes = new() { Replicas = round < 100 ? 1 : 2 };
            ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Load = load, Options = options, Wishes = wishes });
            ExpertPlan Again() => ExpertPlanner.Plan(Plans.Request(shape, [.. devices.Loaded(plan).Reverse()]) with { Load = load, Previous = plan, Options = options, Wishes = wishes });
            if (options.MaxReplicas > 1 || wishes.Replicas > 1)
                plan = Again();

            Assert.True(plan.IsSameAs(Again()), $"round {round}");
        }
    }

    [Fact]
    public void A_change_of_load_moves_nothing_that_gains_little()
    {
        PlanShape shape = new(6, 64);
        PlanDevice[] devices = Plans.Devices(200, 200, 200, 200);
        double[] load = Plans.Skewed(shape, power: 0.4);
        PlannerOptions options = new() { MaxReplicas = 1 };
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Load = load, Options = options });
        Random random = new(1);
        double[] wavering = [.. load.Select(rows => rows * (0.95 + (0.1 * random.NextDouble())))];
        ExpertPlan second = ExpertPlanner.Plan(Plans.Request(shape, devices.Loaded(first)) with { Load = wavering, Previous = first, Options = options });
        Assert.Equal(Plans.Owners(first), Plans.Owners(second));

        ExpertPlan third = ExpertPlanner.Plan(Plans.Request(shape, devices.Loaded(first)) with { Load = Plans.Skewed(shape, seed: 99, power: 0.4), Previous = first, Options = options });
        int moved = Plans.Owners(first).Zip(Plans.Owners(third)).Count(pair => pair.First != pair.Second);
        Assert.InRange(moved, 1, shape.Count / 2);
        Assert.InRange(Plans.Excess(third), 1, 1.15);
    }

    [Fact]
    public void A_replica_stays_until_its_expert_is_clearly_cool()
    {
        PlanShape shape = new(1, 10);
        PlanDevice[] devices = Plans.Devices(10, 10, 10);
        double[] Load(double hot) => [hot * 9 / (10 - hot), .. Enumerable.Repeat(1.0, 9)];
        ExpertPlan At(double hot, ExpertPlan? before) => ExpertPlanner.Plan(Plans.Request(shape, before is null ? devices : devices.Loaded(before)) with { Load = Load(hot), Previous = before });

        ExpertPlan hot = At(3, null);
        Assert.Equal([2, 2, 1, 1], new[] { hot, At(1.6, hot), At(1.3, hot), At(1.6, null) }.Select(plan => plan.ReplicasOf(0).Length));
        ExpertPlan three = ExpertPlanner.Plan(new PlanRequest(shape, devices) { Load = Load(5) });
        ExpertPlan unknown = ExpertPlanner.Plan(new PlanRequest(shape, devices.Loaded(three)) { Previous = three });
        Assert.Equal((3, 3), (three.ReplicasOf(0).Length, unknown.ReplicasOf(0).Length));
    }

    [Fact]
    public void What_a_drained_host_holds_goes_to_others_as_far_as_they_have_room()
    {
        PlanShape shape = new(2, 12);
        PlanDevice[] devices = Plans.Devices(20, 20, 20);
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices));
        PlanWishes wishes = new() { Drained = ["h001"] };
        Assert.Empty(Plans.Held(ExpertPlanner.Plan(Plans.Request(shape, devices.Loaded(first)) with { Previous = first, Wishes = wishes }), "d001"));

        PlanDevice[] small = [.. devices.Loaded(first).Select(device => device with { Capacity = 10 })];
        ExpertPlan tight = ExpertPlanner.Plan(Plans.Request(shape, small) with { Previous = first, Wishes = wishes });
        Assert.Equal(0, tight.Missing);
        Assert.Equal(4, Plans.Held(tight, "d001").Length);
        Assert.Contains("drained", tight.Explain(Plans.Held(tight, "d001")[0])[0].Text);
    }

    [Fact]
    public void What_would_be_nowhere_goes_to_a_drained_host_until_another_has_room()
    {
        PlanShape shape = new(2, 12);
        PlanWishes wishes = new() { Drained = ["h001", "h002"], Replicas = 1 };
        ExpertPlan Plan(ExpertPlan? previous, params int[] capacities) =>
            ExpertPlanner.Plan(new PlanRequest(shape, Plans.Devices(capacities)) { Previous = previous, Wishes = wishes });

        ExpertPlan plan = Plan(null, 20, 14, 0);
        Assert.Equal(0, plan.Missing);
        Assert.Equal([20, 4, 0], new[] { "d000", "d001", "d002" }.Select(id => Plans.Held(plan, id).Length));
        Assert.Equal("the device is to be drained, but no other has room for it", plan.Explain(Plans.Held(plan, "d001")[0])[0].Text);

        // While it is loaded there, it does not go to the other that is drained.
        Assert.Equal(Plans.Held(plan, "d001").ToArray(), Plans.Held(Plan(plan, 20, 14, 14), "d001").ToArray());
        Assert.Empty(Plans.Held(Plan(plan, 24, 14, 0), "d001"));

        // One that leaves has no capacity.
        Assert.Equal(4, Plan(null, 20, 0, 0).Missing);
    }

    [Fact]
    public void A_device_that_cannot_load_keeps_what_it_holds_and_gets_nothing()
    {
        PlanShape shape = new(2, 6);
        PlanDevice[] devices = [Plans.Device(0, 12), Plans.Device(1, 12) with { CanLoad = false, Held = [0, 1, 7] }];
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, devices));

        Assert.Equal([0, 1, 7], Plans.Held(plan, "d001").ToArray());
        Assert.Equal(9, Plans.Held(plan, "d000").Length);
    }

    [Fact]
    public void An_expert_is_where_the_operator_wants_it_as_long_as_that_is_there()
    {
        PlanShape shape = new(2, 6);
        PlanDevice[] devices = Plans.Devices(12, 12, 12);
        PlanWishes wishes = new() { Replicas = 1, Pinned = PlanWishes.None.Pinned.Add(3, ["d002", "d000"]).Add(4, ["gone"]).Add(5, ["gone", "d001"]) };
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(shape, devices) with { Wishes = wishes });

        Assert.Equal([2, 0], plan.ReplicasOf(3).ToArray());
        Assert.Equal(1, plan.ReplicasOf(4).Length);
        Assert.Equal([1], plan.ReplicasOf(5).ToArray());
        Assert.All(plan.Explain(3), decision => Assert.Equal(PlanReason.Pinned, decision.Reason));
    }

    /// <summary>A replica keeps no expert from being somewhere, and none on a host that is to be drained: taking wishes back frees nothing.</summary>
    [Fact]
    public void Replicas_give_way_to_owners_by_whatever_they_were_asked_for()
    {
        PlanShape shape = new(1, 70);
        PlanDevice[] devices = Plans.Devices(40, 40, 40);
        PlanWishes wishes = new() { Drained = [devices[2].Id], Copies = ImmutableDictionary<int, int>.Empty.Add(69, 3) };
        wishes = wishes with { Pinned = Enumerable.Range(0, 9).ToImmutableDictionary(expert => expert, _ => ImmutableArray.Create(devices[0].Id, devices[1].Id)) };
        ExpertPlan plan = ExpertPlanner.Plan(new PlanRequest(shape, devices) { Wishes = wishes });
        Assert.Equal((0, 0), (plan.Missing, Plans.Held(plan, devices[2].Id).Length));
        Assert.All(Enumerable.Range(0, 9), expert => Assert.Equal(2, plan.ReplicasOf(expert).Length)); // there is room for 10

        wishes = wishes with { Pinned = Enumerable.Range(0, 30).ToImmutableDictionary(expert => expert, _ => ImmutableArray.Create(devices[0].Id, devices[1].Id)) };
        plan = ExpertPlanner.Plan(new PlanRequest(shape, devices) { Wishes = wishes });
        Assert.Equal((0, 0), (plan.Missing, Plans.Held(plan, devices[2].Id).Length));
        Assert.Equal(10, Enumerable.Range(0, 30).Count(expert => plan.ReplicasOf(expert).Length == 2));
        Assert.All(Enumerable.Range(0, 30), expert => Assert.Equal(devices[0].Id, plan.Devices[plan.OwnerOf(expert)].Id));
    }

    [Fact]
    public void A_replica_that_an_operator_put_on_a_fast_device_stays_there_though_others_go_to_a_slow_one()
    {
        PlanDevice[] devices = [Plans.Device(0, 4, 100), Plans.Device(1, 4, 100), Plans.Device(2, 8, 1, kind: "cpu")];
        PlanWishes wishes = new() { Replicas = 1, Pinned = ImmutableDictionary<int, ImmutableArray<string>>.Empty.Add(0, [devices[0].Id, devices[1].Id]) };
        ExpertPlan plan = ExpertPlanner.Plan(new PlanRequest(new PlanShape(1, 10), devices) { Wishes = wishes });
        Assert.Equal((0, 2), (plan.Missing, plan.ReplicasOf(0).Length));
    }

    [Fact]
    public void Unless_told_otherwise_every_expert_has_a_second_replica_on_another_host()
    {
        PlanShape shape = new(2, 12);
        PlanDevice[] devices = [.. Enumerable.Range(0, 6).Select(i => Plans.Device(i, 10, host: $"h{i / 2}"))];
        ExpertPlan plan = ExpertPlanner.Plan(new PlanRequest(shape, devices));

        Assert.All(Enumerable.Range(0, shape.Count), expert => Assert.Equal(2, plan.ReplicasOf(expert).ToArray().Select(device => plan.Devices[device].Host).Distinct().Count()));
        Assert.Equal(PlanReason.Wished, plan.Explain(0)[1].Reason);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Second_replicas_that_are_not_wanted_any_more_go_and_owners_are_balanced_without_them(bool isLoadKnown)
    {
        // The first silo was there before the others, and is full; what the others have more than their part are replicas.
        PlanShape shape = new(11, 64);
        PlanDevice[] devices = Plans.Devices(434, 434, 434);
        double[]? load = isLoadKnown ? [.. Enumerable.Repeat(1.0, shape.Count)] : null;
        ExpertPlan plan = ExpertPlanner.Plan(new PlanRequest(shape, devices[..1]) { Load = load });
        plan = Next(devices.Loaded(plan), PlanWishes.None);
        plan = Next(devices.Loaded(plan), PlanWishes.None);
        Assert.True(Replicas(plan) > 400);

        for (int turn = 0; turn < 3; turn++)
            plan = Next(devices.Loaded(plan), new PlanWishes { Replicas = 1 });
        Assert.Equal(0, Replicas(plan));
        Assert.InRange(Plans.Excess(plan), 1, 1.1);

        ExpertPlan Next(PlanDevice[] loaded, PlanWishes wishes) => ExpertPlanner.Plan(new PlanRequest(shape, loaded) { Load = load, Previous = plan, Wishes = wishes });
    }

    [Fact]
    public void Second_replicas_go_to_the_hottest_where_memory_is_short_and_leave_head_room()
    {
        PlanShape shape = new(2, 12);
        double[] load = Plans.Skewed(shape);
        ExpertPlan plan = ExpertPlanner.Plan(new PlanRequest(shape, Plans.Devices(20, 20)) { Load = load, Options = new PlannerOptions { MaxReplicas = 2 } });

        double[] twice = [.. Enumerable.Range(0, shape.Count).Where(expert => plan.ReplicasOf(expert).Length == 2).Select(plan.LoadOf)];
        double[] once = [.. Enumerable.Range(0, shape.Count).Where(expert => plan.ReplicasOf(expert).Length == 1).Select(plan.LoadOf)];
        Assert.Equal(38 - 24, twice.Length);
        Assert.True(twice.Min() >= once.Max());
        Assert.Equal(0, plan.Missing);
    }

    [Fact]
    public void What_a_small_device_has_no_room_for_is_replicated_on_a_large_one_in_whichever_order_they_start()
    {
        PlanShape shape = new(4, 16);
        PlanDevice[] devices = Plans.Devices(43, 64);
        const int Room = 40 + 64 - 64; // what head-room and owners leave
        double[] load = Plans.Skewed(shape);
        ExpertPlan Plan(PlanDevice[] devices, ExpertPlan? before) => ExpertPlanner.Plan(new PlanRequest(shape, devices) { Load = load, Previous = before });

        ExpertPlan both = Plan(devices, null);
        ExpertPlan small = Plan(devices[..1], null);
        ExpertPlan joined = Plan([devices.Loaded(small)[0], devices[1]], small);
        ExpertPlan large = Plan(devices[1..], null);
        ExpertPlan last = Plan([devices[0], devices.Loaded(large)[1]], large);

        foreach (ExpertPlan first in new[] { both, joined, last })
        {
            Assert.Equal(Room, Replicas(first) + Postponed(first));
            (ExpertPlan before, ExpertPlan plan) = (first, Plan(devices.Loaded(first), first));
            for (int turn = 0; turn < 5 && !plan.IsSameAs(before); turn++)
                (before, plan) = (plan, Plan(devices.Loaded(plan), plan));
            Assert.True(plan.IsSameAs(before));
            Assert.Equal((Room, 0), (Replicas(plan), Postponed(plan)));
        }
    }

    [Fact]
    public void A_replica_gives_way_only_to_one_of_a_clearly_hotter_expert_which_then_gets_its_room()
    {
        // The small device is full: four experts are only on the large one.
        PlanShape shape = new(1, 24);
        PlanDevice[] devices = Plans.Devices(20, 24);
        PlannerOptions options = new() { MaxReplicas = 2, MinGain = 1, HeadRoom = 0 };
        ExpertPlan first = ExpertPlanner.Plan(new PlanRequest(shape, devices) { Options = options });
        int single = Enumerable.Range(0, 24).Last(expert => first.ReplicasOf(expert).Length == 1);
        double[] load = [.. Enumerable.Repeat(1.0, 24)];
        ExpertPlan Next(ExpertPlan before, PlanDevice[] loaded) => ExpertPlanner.Plan(new PlanRequest(shape, loaded) { Load = load, Previous = before, Options = options });

        load[single] = 1.2;
        Assert.True(first.IsSameAs(Next(first, devices.Loaded(first))));

        load[single] = 1.8;
        ExpertPlan hotter = Next(first, devices.Loaded(first));
        Assert.Equal((1, 1), (hotter.ReplicasOf(single).Length, Postponed(hotter)));
        ExpertPlan dropped = Next(hotter, devices.Loaded(hotter));
        Assert.Equal((2, 0), (dropped.ReplicasOf(single).Length, Postponed(dropped)));
        Assert.Equal(Replicas(first), Replicas(dropped));
    }

    [Fact]
    public void Replicas_that_an_operator_asks_for_use_the_head_room_and_those_that_are_there_stay()
    {
        PlanShape shape = new(2, 12);
        PlanDevice[] devices = Plans.Devices(16, 16, 16);
        ExpertPlan first = ExpertPlanner.Plan(new PlanRequest(shape, devices));
        PlanWishes three = PlanWishes.None with { Copies = PlanWishes.None.Copies.Add(3, 3) };
        ExpertPlan asked = ExpertPlanner.Plan(new PlanRequest(shape, devices.Loaded(first)) { Previous = first, Wishes = three });
        Assert.Equal((3, 21), (asked.ReplicasOf(3).Length, Replicas(first)));
        Assert.InRange(Replicas(asked), 21, 22); // the others have as many, or one gives way in time

        ExpertPlan pinned = ExpertPlanner.Plan(new PlanRequest(shape, devices.Loaded(first)) { Previous = first, Wishes = PlanWishes.None with { Pinned = PlanWishes.None.Pinned.Add(5, ["d000", "d001", "d002"]) } });
        ExpertPlan kept = ExpertPlanner.Plan(new PlanRequest(shape, devices.Loaded(pinned)) { Previous = pinned, Wishes = PlanWishes.None with { Copies = PlanWishes.None.Copies.Add(5, 3) } });
        Assert.Equal(pinned.ReplicasOf(5).ToArray().Order(), kept.ReplicasOf(5).ToArray().Order());

        // Not where an owner needs the room.
        PlanDevice[] full = Plans.Devices(8, 8, 8);
        ExpertPlan tight = ExpertPlanner.Plan(new PlanRequest(shape, full) { Wishes = three });
        Assert.Equal((0, 1), (tight.Missing, tight.ReplicasOf(3).Length));
    }

    [Fact]
    public void A_host_that_joins_takes_its_share_of_replicas_too_and_every_expert_stays_on_two_hosts()
    {
        PlanShape shape = new(4, 16);
        PlanDevice[] devices = [.. Enumerable.Range(0, 6).Select(i => Plans.Device(i, 64, host: $"h{i / 2}"))];
        double[] load = [.. Enumerable.Repeat(1.0, shape.Count)];
        ExpertPlan plan = ExpertPlanner.Plan(new PlanRequest(shape, devices[..2]) { Load = load });
        foreach (int count in new[] { 4, 6, 6 })
            plan = ExpertPlanner.Plan(new PlanRequest(shape, devices[..count].Loaded(plan)) { Load = load, Previous = plan });

        Assert.All(devices, device => Assert.InRange(Plans.LoadOn(plan, device.Id), 0.85 * shape.Count / 6, 1.25 * shape.Count / 6));
        Assert.All(Enumerable.Range(0, shape.Count), expert => Assert.Equal(2, plan.ReplicasOf(expert).ToArray().Select(device => plan.Devices[device].Host).Distinct().Count()));
        Assert.True(ExpertPlanner.Plan(new PlanRequest(shape, devices.Loaded(plan)) { Load = load, Previous = plan }).IsSameAs(plan));
    }

    [Fact]
    public void Replicas_on_their_way_to_a_host_that_joined_do_not_turn_round_when_it_is_planned_again()
    {
        PlanShape shape = new(1, 384);
        PlanDevice[] devices = Plans.Devices([.. Enumerable.Repeat(shape.Count, 11)]);
        double[] load = Plans.Skewed(shape, power: 0.05);
        ExpertPlan ten = ExpertPlanner.Plan(new PlanRequest(shape, devices[..10]) { Load = load });
        PlanDevice[] loaded = [.. devices[..10].Loaded(ten), devices[10]];
        ExpertPlan joined = ExpertPlanner.Plan(new PlanRequest(shape, loaded) { Load = load, Previous = ten });
        loaded[10] = loaded[10] with { Held = [.. Plans.Held(joined, "d010").Take(3)] };
        ExpertPlan again = ExpertPlanner.Plan(new PlanRequest(shape, loaded) { Load = load, Previous = joined });

        Assert.InRange(Plans.Held(joined, "d010").Length, 64, 72); // of 768 replicas on 11 devices
        Assert.Equal(string.Join(" ", Plans.Held(joined, "d010")), string.Join(" ", Plans.Held(again, "d010")));
    }

    private static int Postponed(ExpertPlan plan) => Enumerable.Range(0, plan.Shape.Count).Count(plan.IsPostponed);

    private static int Replicas(ExpertPlan plan) => Enumerable.Range(0, plan.Shape.Count).Sum(expert => plan.ReplicasOf(expert).Length - 1);

    [Fact]
    public void Every_decision_has_a_reason_that_names_what_it_came_from()
    {
        PlanShape shape = new(2, 8, 1);
        PlanDevice[] devices = Plans.Devices(16);
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(shape, devices));
        ExpertPlan second = ExpertPlanner.Plan(Plans.Request(shape, [.. devices.Loaded(first), Plans.Device(1, 16)]) with { Previous = first });

        Assert.Equal("layer 2 expert 3", shape.NameOf(11));
        Assert.Equal(new PlanDecision("d000", true, PlanReason.Placed, "with 1 times the mean load of its layer it adds the least time to its layer there"), Assert.Single(first.Explain(0)));
        int moved = Array.IndexOf(Plans.Owners(second), "d001");
        Assert.Equal("the device is new and gets its share of every layer, until now on d000", Assert.Single(second.Explain(moved)).Text);
        int stayed = Array.IndexOf(Plans.Owners(second), "d000");
        Assert.Equal(PlanReason.Stays, Assert.Single(second.Explain(stayed)).Reason);
    }

    [Fact]
    public void A_request_that_contradicts_itself_is_refused_with_the_value()
    {
        PlanShape shape = new(2, 6);
        Assert.Contains("d000", Assert.Throws<ArgumentException>(() => ExpertPlanner.Plan(Plans.Request(shape, [Plans.Device(0, 1), Plans.Device(0, 2)]))).Message);
        Assert.Contains("speed of 0", Assert.Throws<ArgumentException>(() => ExpertPlanner.Plan(Plans.Request(shape, [Plans.Device(0, 1, speed: 0)]))).Message);
        Assert.Contains("holds", Assert.Throws<ArgumentException>(() => ExpertPlanner.Plan(Plans.Request(shape, [Plans.Device(0, 1) with { Held = [12] }]))).Message);
        Assert.Contains("11", Assert.Throws<ArgumentException>(() => ExpertPlanner.Plan(Plans.Request(shape, []) with { Load = new double[11] })).Message);
        Assert.Throws<ArgumentException>(() => ExpertPlanner.Plan(Plans.Request(new PlanShape(int.MaxValue, int.MaxValue), [])));
    }

    /// <summary>As shards do: load what is planned as long as there is room, drop the rest once a device that is to have it has it.</summary>
    private static void CarryOut(ExpertPlan plan, PlanDevice[] devices, Random random)
    {
        List<int>[] held = [.. devices.Select(device => device.Held.ToList())];
        HashSet<int>[] planned = [.. devices.Select(device => Plans.Held(plan, device.Id).ToHashSet())];
        for (bool hasMoved = true; hasMoved;)
        {
            hasMoved = false;
            for (int device = 0; device < devices.Length; device++)
            {
                int[] missing = [.. planned[device].Except(held[device])];
                if (missing.Length > 0 && held[device].Count < devices[device].Capacity)
                {
                    held[device].Add(missing[random.Next(missing.Length)]);
                    hasMoved = true;
                }

                hasMoved |= held[device].RemoveAll(expert => !planned[device].Contains(expert) && Enumerable.Range(0, held.Length).Any(other => planned[other].Contains(expert) && held[other].Contains(expert))) > 0;
            }
        }

        Assert.All(held.Zip(planned), pair => Assert.True(pair.Second.SetEquals(pair.First)));
    }
}
