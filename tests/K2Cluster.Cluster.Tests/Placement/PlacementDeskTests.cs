using System.Collections.Immutable;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Grains.Placement;
using K2Cluster.Planning;
using Microsoft.Extensions.Time.Testing;
using PlacementState = K2Cluster.Grains.Placement.Placement;

namespace K2Cluster.Cluster.Tests.Placement;

/// <summary>Three silos alike with a shard each, all that was planned loaded.</summary>
public class PlacementDeskTests
{
    private static readonly ExpertGrid Grid = new(1, 2, 6);
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly Dictionary<string, ShardReport> _shards = [];
    private readonly PlacementState _placement;
    private readonly PlacementDesk _desk;
    /// <summary>One replica of each expert, so that what a change does is easy to see.</summary>
    private static readonly PlacementWishes One = PlacementWishes.None with { Replicas = 1 };

    private PlacementWishes _wishes = One;

    public PlacementDeskTests()
    {
        _placement = new PlacementState(new PlacementOptions(), _time) { Wishes = One.ToPlan(Grid) };
        _desk = new PlacementDesk(_placement);
        foreach (string silo in new[] { "a", "b", "c" })
            Join(silo, capacity: 12);
        Settle();
    }

    [Fact]
    public void Status_tells_shards_gateways_and_wishes()
    {
        _placement.Acknowledge("gateway", _placement.Plan!.Epoch);
        _time.Advance(TimeSpan.FromSeconds(2));
        PlacementStatus status = _desk.Status(_wishes with { Drained = ["z"], Replicas = 2 }, isKept: true);

        Assert.Equal((_placement.Plan!.Epoch, Grid, null), (status.Epoch, status.Grid, status.Incomplete));
        Assert.Equal(["a", "b", "c"], status.Shards.Select(shard => shard.Shard.Id.Silo));
        Assert.All(status.Shards, shard => Assert.Equal((4, 4, 0, 0), (shard.Owned, shard.Held, shard.Replicas, shard.Loading)));
        Assert.All(status.Shards, shard => Assert.Equal(1 / 3.0, shard.LoadShare, 9));
        Assert.All(status.Shards, shard => Assert.Equal(TimeSpan.FromSeconds(2), shard.Silent));
        Assert.Equal(new GatewayAcknowledgement("gateway", _placement.Plan!.Epoch, TimeSpan.FromSeconds(2)), Assert.Single(status.Gateways));
        Assert.Equal(("z", 2, true), (Assert.Single(status.Wishes.Drained), status.Wishes.Replicas, status.Wishes.IsKept));
    }

    [Fact]
    public void An_expert_moves_to_the_shard_that_is_named_and_explain_says_why()
    {
        (string from, string to) = (ShardOf(1, 0), OtherThan(ShardOf(1, 0)));
        PlacementOutcome outcome = Do(Move(to[2..]));

        ExpertChange change = outcome.Experts[0];
        Assert.Equal((1, 0, from, to), (change.Layer, change.Expert, Assert.Single(change.Before), Assert.Single(change.After)));
        Assert.Equal((2, 2, 2, 200L), (outcome.Changed, outcome.Loads, outcome.Drops, outcome.LoadBytes)); // another goes the other way for it
        Assert.Empty(outcome.Notes);
        ExpertExplanation before = _desk.Explain(_wishes, 1, 0);
        Assert.Equal((from, from, to), (Assert.Single(before.Serving), Assert.Single(before.Held), Assert.Single(before.Planned).Shard));
        Assert.Equal(("the operator wants it there", $"on {to}"), (before.Planned[0].Reason, before.Wish));

        Settle();
        Assert.Equal(to, Assert.Single(_desk.Explain(_wishes, 1, 0).Serving));
        Do(Of(PlacementChangeKind.Unpin));
        Assert.Null(_desk.Explain(_wishes, 1, 0).Wish);
    }

    [Fact]
    public void A_change_of_several_is_done_as_a_whole_or_not_at_all()
    {
        string to = OtherThan(ShardOf(1, 0));
        Assert.Throws<PlacementRefusedException>(() => Do(Move(to), Of(PlacementChangeKind.Drain) with { Silo = "z" }));
        Assert.Same(One, _wishes);

        // Each sees what the one before it wished for.
        Do(Of(PlacementChangeKind.Replicate) with { Shards = ["a", "b/0", "m/c/0"] }, Of(PlacementChangeKind.Drop) with { From = "a" });
        Assert.Equal(["m/b/0", "m/c/0"], Assert.Single(_wishes.Pinned).Shards.Order());
    }

    [Fact]
    public void Replicas_of_one_expert_go_wherever_there_is_room_and_come_back_when_their_silo_dies()
    {
        Do(Of(PlacementChangeKind.Copies) with { Copies = 2 });
        Settle();
        ImmutableArray<string> two = _desk.Explain(_wishes, 1, 0).Serving;
        Assert.Equal(2, two.Length);
        Assert.Equal("with 2 replicas", _desk.Explain(_wishes, 1, 0).Wish);
        Assert.Contains("replicas of it", _desk.Explain(_wishes, 1, 0).Planned[1].Reason);

        string gone = two[1].Split('/')[1];
        _shards.Remove(gone);
        Settle(gone);
        Assert.Equal(2, _desk.Explain(_wishes, 1, 0).Serving.Length);

        PlacementOutcome outcome = Do(Of(PlacementChangeKind.Copies) with { Copies = 3 });
        Assert.Equal("Layer 1 expert 0 gets 2 of 3 replicas: no other shard of its kind has room.", Assert.Single(outcome.Notes));
    }

    [Fact]
    public void Replicas_of_every_expert_come_as_far_as_memory_goes()
    {
        PlacementOutcome outcome = Do(Of(PlacementChangeKind.Replicas) with { Copies = 2 });
        Assert.Equal((12, 12, 0), (outcome.Changed, outcome.Loads, outcome.Drops));
        Settle();
        Assert.All(_desk.Status(_wishes, true).Shards, shard => Assert.Equal(8, shard.Held));
    }

    [Fact]
    public void Status_tells_which_silos_may_be_lost_by_what_is_served_now()
    {
        Assert.Equal([new SiloLoss("a", 4), new SiloLoss("b", 4), new SiloLoss("c", 4)], _desk.Status(_wishes, true).Losses.ToArray());
        Do(Of(PlacementChangeKind.Replicate) with { Shards = ["a", "b", "c"] });
        Assert.Equal(0, _desk.Status(_wishes, true).OnSeveral); // planned, not loaded
        Settle();
        PlacementStatus status = _desk.Status(_wishes, true);
        Assert.Equal((1, 11), (status.OnSeveral, status.Losses.Sum(loss => loss.Experts)));

        Do(Of(PlacementChangeKind.Replicas) with { Copies = 2 });
        Settle();
        status = _desk.Status(_wishes, true);
        Assert.Equal((12, 0), (status.OnSeveral, status.Losses.Sum(loss => loss.Experts)));
    }

    [Fact]
    public void A_silo_drains_and_what_nobody_has_room_for_is_told()
    {
        Do(Of(PlacementChangeKind.Drain) with { Silo = "a" });
        Settle();
        Assert.Equal([0, 6, 6], _desk.Status(_wishes, true).Shards.Select(shard => shard.Owned));

        PlacementOutcome outcome = Do(Of(PlacementChangeKind.Drain) with { Silo = "b" }, Of(PlacementChangeKind.Drain) with { Silo = "c" });
        Assert.Equal(0, outcome.Changed);
        Assert.Equal(12, outcome.Staying);
        Assert.StartsWith("6 experts stay on b, as no other shard has room for them (layer 1 expert ", outcome.Notes[0]);
        Assert.EndsWith("): start another silo, raise --memory, or undrain a or c.", outcome.Notes[0]);

        Do(Of(PlacementChangeKind.Undrain) with { Silo = "a" });
        Settle();
        Assert.Equal([12, 0, 0], _desk.Status(_wishes, true).Shards.Select(shard => shard.Owned));
    }

    [Fact]
    public void Status_lists_what_is_wished_for_single_experts()
    {
        Do(Of(PlacementChangeKind.Copies) with { Expert = 4, Copies = 2 }, Of(PlacementChangeKind.Replicate) with { Shards = ["a", "b", "c"] });
        ImmutableArray<ExpertWish> wishes = _desk.Status(_wishes, true).Wishes.Experts;
        Assert.Equal([(1, 0, 3, 0), (1, 4, 0, 2)], wishes.Select(wish => (wish.Layer, wish.Expert, wish.Shards.Length, wish.Copies)));
        Do(new PlacementChange { Kind = PlacementChangeKind.UnpinAll });
        Assert.Empty(_desk.Status(_wishes, true).Wishes.Experts);
    }

    [Fact]
    public void Where_replicas_give_way_the_reason_says_why()
    {
        Do(Of(PlacementChangeKind.Replicas) with { Copies = 2 });
        Settle();
        foreach (string silo in new[] { "a", "b" })
            _placement.Report(new SiloReport(silo, Grid, [_shards[silo] with { WeightsBudget = 700 }]));
        PlacementOutcome outcome = Do(Of(PlacementChangeKind.Drain) with { Silo = "c" });
        Assert.Subset(Reasons(outcome), new HashSet<string> { "c drains, and no other shard has room", "its second replica gives way: memory is short" });
        Assert.Equal("12 experts get fewer than 2 replicas: no other shard of their kind has room.", Assert.Single(outcome.Notes));
    }

    [Fact]
    public void Notes_are_of_what_was_asked_for_and_of_what_has_become_worse()
    {
        Do(Of(PlacementChangeKind.Replicas) with { Copies = 2 }, Of(PlacementChangeKind.Copies) with { Copies = 4 });
        Settle();
        Assert.Empty(Do(Of(PlacementChangeKind.Replicate) with { Expert = 1, Shards = ["a", "b"] }).Notes);
        Assert.Equal("Layer 1 expert 0 gets 3 of 5 replicas: no other shard of its kind has room.", Assert.Single(Do(Of(PlacementChangeKind.Copies) with { Copies = 5 }).Notes));

        Assert.Equal("12 experts get fewer than 5 replicas: no other shard of their kind has room.", Assert.Single(Do(Of(PlacementChangeKind.Unpin) with { Expert = 1 }, Of(PlacementChangeKind.Replicas) with { Copies = 5 }).Notes));
        Assert.Empty(Do(Of(PlacementChangeKind.Rebalance)).Notes);
    }

    [Fact]
    public void When_no_other_silo_is_left_those_that_are_drained_serve_until_one_is()
    {
        Do(Of(PlacementChangeKind.Drain) with { Silo = "a" }, Of(PlacementChangeKind.Drain) with { Silo = "b" });
        Settle();
        Assert.Equal([0, 0, 12], _desk.Status(_wishes, true).Shards.Select(shard => shard.Held));

        _shards.Remove("c");
        Settle("c");
        PlacementStatus status = _desk.Status(_wishes, true);
        Assert.Null(status.Incomplete);
        Assert.Equal([6, 6], status.Shards.Select(shard => shard.Held));

        Join("c", capacity: 12);
        Settle();
        Assert.Equal([0, 0, 12], _desk.Status(_wishes, true).Shards.Select(shard => shard.Held));
    }

    [Fact]
    public void What_if_tells_the_same_and_changes_nothing()
    {
        ImmutableArray<PlacementChange> drain = [Of(PlacementChangeKind.Drain) with { Silo = "a" }];
        PlacementWishes wishes = _desk.Edit(_wishes, drain).Wishes;
        PlacementOutcome would = _desk.WhatIf(wishes, false, drain);
        Assert.Equal((4, 4, 4), (would.Changed, would.Loads, would.Drops));
        Settle();
        Assert.All(_desk.Status(_wishes, true).Shards, shard => Assert.Equal(4, shard.Held));

        PlacementOutcome did = Do([.. drain]);
        Assert.Equal(would.Experts.Select(expert => (expert.Layer, expert.Expert, expert.After[0])), did.Experts.Select(expert => (expert.Layer, expert.Expert, expert.After[0])));
    }

    [Fact]
    public void Rebalancing_moves_for_a_gain_that_is_too_little_otherwise()
    {
        PlannerOptions careful = new() { MinGain = 0.9 };
        PlacementState placement = new(new PlacementOptions { Planner = careful }, _time) { Wishes = One.ToPlan(Grid) };
        PlacementDesk desk = new(placement);
        ShardReport[] held = [Report("a", 12) with { Held = [0, 1, 2, 3, 6, 7, 8, 9] }, Report("b", 12) with { Held = [4, 5, 10, 11] }];
        void Tell()
        {
            foreach (ShardReport shard in held)
                placement.Report(new SiloReport(shard.Shard.Id.Silo, Grid, [shard]));
            placement.Advance(new SiloView(new HashSet<string> { "a", "b" }, new HashSet<string>(), new HashSet<string>()));
        }

        Tell();
        Assert.Equal(8, desk.Status(_wishes, true).Shards[0].Owned);
        Assert.Equal(2, desk.WhatIf(_wishes, rebalances: true, []).Changed);
        Tell();
        Assert.Equal(8, desk.Status(_wishes, true).Shards[0].Owned);

        placement.Rebalance();
        Tell();
        Assert.Equal(6, desk.Status(_wishes, true).Shards[0].Owned);
        _time.Advance(TimeSpan.FromMinutes(1));
        Tell();
        Assert.Equal(6, desk.Status(_wishes, true).Shards[0].Owned);
    }

    [Fact]
    public void Experts_go_to_a_faster_kind_when_the_operator_asks_and_status_says_that_it_would_help()
    {
        Assert.Null(_desk.Status(_wishes, true).Advice);
        Join("gpu", capacity: 12, kind: "cuda", usesHostThreads: false);
        Settle();
        _time.Advance(TimeSpan.FromMinutes(1));
        Settle();
        Assert.Equal([4, 4, 4, 0], _desk.Status(_wishes, true).Shards.Select(shard => shard.Held));
        Assert.Matches("^Layers would take 9[0-9] % less time with 12 experts on devices of another kind.*k2 cluster rebalance", _desk.Status(_wishes, true).Advice);

        _placement.Rebalance();
        Settle();
        _time.Advance(TimeSpan.FromMinutes(1));
        Settle();
        Assert.Equal([0, 0, 0, 12], _desk.Status(_wishes, true).Shards.Select(shard => shard.Held));
        Assert.Null(_desk.Status(_wishes, true).Advice);
    }

    [Fact]
    public void What_cannot_be_is_refused_with_the_reason_and_what_there_is()
    {
        string on = ShardOf(1, 0);
        string other = OtherThan(on);
        Join("gpu", capacity: 0, kind: "cuda");
        Join("small", capacity: 0);
        Join("far", capacity: 12, kind: "cuda");
        Settle();
        Do(Of(PlacementChangeKind.Drain) with { Silo = "far" });
        on = ShardOf(1, 0);
        other = OtherThan(on);

        Refused(PlacementRefusal.NotFound, "layers 1 to 2 have experts 0 to 5", Of(PlacementChangeKind.Unpin) with { Layer = 3 });
        Refused(PlacementRefusal.NotFound, "There is no shard z; there are a/0, b/0, c/0", Move("z"));
        Refused(PlacementRefusal.NotFound, "There is no silo z; there are a, b, c", Of(PlacementChangeKind.Drain) with { Silo = "z" });
        Refused(PlacementRefusal.NotFound, "Silo a is not drained; drained are far", Of(PlacementChangeKind.Undrain) with { Silo = "a" });
        Refused(PlacementRefusal.NotPossible, $"{on[2..]} is to hold the last replica", Of(PlacementChangeKind.Drop) with { From = on });
        Refused(PlacementRefusal.NotPossible, $"is not to be on {other}, but on {on[2..]}.", Of(PlacementChangeKind.Drop) with { From = other });
        Refused(PlacementRefusal.NotPossible, "already", Move(on));
        Refused(PlacementRefusal.NotPossible, "undrain it first", Move("far"));
        Refused(PlacementRefusal.NotPossible, "no room", Move("small"));
        Refused(PlacementRefusal.NotPossible, "nothing to take back", Of(PlacementChangeKind.Unpin));
        Refused(PlacementRefusal.Invalid, "1 to 64", Of(PlacementChangeKind.Copies) with { Copies = 65 });
        Refused(PlacementRefusal.Invalid, "1 to 64", Of(PlacementChangeKind.Replicate));
        Refused(PlacementRefusal.Invalid, "one shard", Move("a") with { Shards = ["b", "c"] });
        Refused(PlacementRefusal.Invalid, "1 to 256");
        Refused(PlacementRefusal.Invalid, "older", Of((PlacementChangeKind)99));

        Do(Of(PlacementChangeKind.Undrain) with { Silo = "far" });
        Refused(PlacementRefusal.NotPossible, "one kind", Of(PlacementChangeKind.Replicate) with { Shards = ["far"] });
        Do(Of(PlacementChangeKind.Replicate) with { Shards = [other] });
        Refused(PlacementRefusal.NotPossible, $"Layer 1 expert 0 is on {other[2..]} already; to have it only there, drop the others: k2 cluster drop 1 0 --from {on[2..]}.", Move(other));
        Refused(PlacementRefusal.NotPossible, "has 2 replicas", Move(new[] { "a", "b", "c" }.First(silo => $"m/{silo}/0" != on && $"m/{silo}/0" != other)));

        PlacementDesk empty = new(new PlacementState(new PlacementOptions(), _time));
        Assert.Equal(PlacementRefusal.NotReady, Assert.Throws<PlacementRefusedException>(() => empty.Explain(_wishes, 1, 0)).Refusal);
        Assert.Contains("no plan yet", empty.Status(_wishes, true).Incomplete);
    }

    [Fact]
    public void Which_replica_is_to_go_is_never_guessed()
    {
        ShardReport second = Report("a", 12);
        second = second with { Shard = second.Shard with { Id = new ShardId("m", "a", 1) } };
        ShardReport[] shards = [Report("a", 12), second, Report("b", 12), Report("c", 12)];
        string[] holders = ["m/a/0", "m/a/1", "m/b/0", "m/gone/0"];
        WishEditor Editor() => new(One with { Pinned = [new PinnedExpert(1, 0, [.. holders])] }, Grid, shards, _placement.Intended!);
        void IsRefused(string from, PlacementRefusal refusal, string mention)
        {
            foreach (PlacementChange change in new[] { Of(PlacementChangeKind.Drop) with { From = from }, Move("c") with { From = from } })
            {
                PlacementRefusedException refused = Assert.Throws<PlacementRefusedException>(() => Editor().Apply(change));
                Assert.Equal(refusal, refused.Refusal);
                Assert.Contains(mention, refused.Message);
            }
        }

        IsRefused("0", PlacementRefusal.NotFound, "There is no shard 0; there are a/0, a/1, b/0, c/0");
        IsRefused("/0", PlacementRefusal.NotFound, "There is no shard /0;");
        IsRefused("a", PlacementRefusal.NotPossible, "has 2 replicas on a,");
        IsRefused("c", PlacementRefusal.NotPossible, "is not to be on c, but on");

        foreach ((string from, string meant) in new[] { ("b", "m/b/0"), ("a/1", "m/a/1"), ("m/a/0", "m/a/0"), ("gone", "m/gone/0"), ("gone/0", "m/gone/0") })
        {
            WishEditor editor = Editor();
            editor.Apply(Of(PlacementChangeKind.Drop) with { From = from });
            Assert.Equal(holders.Except([meant]), Assert.Single(editor.Wishes.Pinned).Shards);
        }
    }

    private static PlacementChange Of(PlacementChangeKind kind) => new() { Kind = kind, Layer = 1, Expert = 0 };

    private static PlacementChange Move(string to) => Of(PlacementChangeKind.Move) with { Shards = [to] };

    private string ShardOf(int layer, int expert) => _desk.Explain(_wishes, layer, expert).Planned[0].Shard;

    private static string OtherThan(string shard) => shard == "m/a/0" ? "m/b/0" : "m/a/0";

    private void Refused(PlacementRefusal refusal, string mention, params PlacementChange[] changes)
    {
        PlacementRefusedException refused = Assert.Throws<PlacementRefusedException>(() => Do(changes));
        Assert.Contains(mention, refused.Message);
        Assert.Equal(refusal, refused.Refusal);
    }

    private static HashSet<string> Reasons(PlacementOutcome outcome) => [.. outcome.Experts.Select(expert => expert.Reason)];

    /// <summary>As the grain does it.</summary>
    private PlacementOutcome Do(params PlacementChange[] changes)
    {
        PlacementWishes wishes = _desk.Edit(_wishes, [.. changes]).Wishes;
        ExpertPlan before = _placement.Intended!;
        (_wishes, _placement.Wishes) = (wishes, wishes.ToPlan(Grid));
        Advance();
        return _desk.Outcome(before, _placement.Intended!, wishes, [.. changes]);
    }

    private void Join(string silo, int capacity, string kind = "cpu", bool usesHostThreads = true) => _shards[silo] = Report(silo, capacity, kind) with { UsesHostThreads = usesHostThreads };

    private static ShardReport Report(string silo, int capacity, string kind = "cpu") => new()
    {
        Shard = new PlannedShard(new ShardId("m", silo, 0), 1, kind, "int4-g32"),
        WeightsBudget = capacity * 100,
        ExpertBytes = 100,
        Held = [],
        Loading = 0,
        UsesHostThreads = true,
    };

    /// <summary>Until everybody holds what is planned, and nothing else.</summary>
    private void Settle(params string[] gone)
    {
        for (int turn = 0; turn < 4; turn++)
        {
            _time.Advance(TimeSpan.FromSeconds(6));
            foreach ((string silo, ShardReport shard) in _shards)
                _placement.Report(new SiloReport(silo, Grid, [shard]));
            Advance(gone);
        }
    }

    private void Advance(params string[] gone)
    {
        foreach ((ShardId id, ShardAssignment assignment) in _placement.Advance(new SiloView(_shards.Keys.ToHashSet(), gone.ToHashSet(), new HashSet<string>())))
            _shards[id.Silo] = _shards[id.Silo] with { Held = [.. _shards[id.Silo].Held.Except(assignment.Drop).Union(assignment.Load).Order()], Assigned = assignment.Epoch };
    }
}
