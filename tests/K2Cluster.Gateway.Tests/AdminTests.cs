using System.Collections.Immutable;
using Grpc.Core;
using K2Cluster.Administration;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Protocol.V1;
using Microsoft.Extensions.DependencyInjection;
using Change = K2Cluster.Protocol.V1.PlacementChange;

namespace K2Cluster.Gateway.Tests;

/// <summary>k2cluster.v1.Admin passes on what operators ask, and says in gRPC's statuses what came of it.</summary>
public sealed class AdminTests : IAsyncLifetime
{
    private readonly MadeUpPlacement _placement = new();
    private GatewayHost _host = null!;
    private Admin.AdminClient _client = null!;

    public async Task InitializeAsync()
    {
        _host = await GatewayHost.StartAsync(Tokens.Saying("x"), configure: builder => builder.Services.AddSingleton<IPlacementAccess>(_placement));
        _client = new Admin.AdminClient(_host.Channel);
    }

    public async Task DisposeAsync() => await _host.DisposeAsync();

    [Fact]
    public async Task Status_and_explanation_are_those_of_the_placement()
    {
        ClusterStatus status = await _client.GetStatusAsync(new GetStatusRequest());
        Assert.Equal(("m", 7L, 3L, "2 are missing", "rebalance"), (status.Cluster, status.Epoch.Generation, status.Epoch.Counter, status.Incomplete, status.Advice));
        ShardState shard = Assert.Single(status.Shards);
        Assert.Equal(("m/a/0", "a", "cpu", 1000L, 10L, 4u, 5u, 6u, 7u), (shard.Id, shard.Silo, shard.Kind, shard.BudgetBytes, shard.ExpertBytes, shard.Held, shard.Owned, shard.Replicas, shard.Loading));
        Assert.Equal(("", "host:1", 0.5, 1.5), (shard.Problem, shard.Endpoint, shard.LoadShare, shard.SilentSeconds));
        Assert.Equal((9u, "a", 8u), (status.OnSeveral, Assert.Single(status.Losses).Silo, status.Losses[0].Experts));
        Assert.Equal(("g", 2.0), (Assert.Single(status.Gateways).Name, status.Gateways[0].SilentSeconds));
        Assert.Null(status.Gateways[0].Epoch);
        Assert.Equal(("z", 1u, 2u, 3u, true), (Assert.Single(status.Wishes.Drained), status.Wishes.Pinned, status.Wishes.Copied, status.Wishes.Replicas, status.Wishes.Kept));
        Assert.Equal([(1u, 2u, "m/a/0", 0u), (2u, 1u, "", 3u)], status.Wishes.Experts.Select(wish => (wish.Layer, wish.Expert, string.Join(' ', wish.Shards), wish.Copies)));

        Explanation explanation = await _client.ExplainAsync(new ExplainRequest { Layer = 1, Expert = 2 });
        Assert.Equal((1u, 2u, 1.5, "m/a/0", true, "because", ""), (explanation.Layer, explanation.Expert, explanation.Load, explanation.Planned[0].Shard, explanation.Planned[0].Owner, explanation.Planned[0].Reason, explanation.Wish));
    }

    [Fact]
    public async Task The_plan_is_the_one_that_this_gateway_uses()
    {
        RpcException none = await Assert.ThrowsAsync<RpcException>(async () => await _client.GetPlanAsync(new GetPlanRequest()));
        Assert.Equal((StatusCode.Unavailable, "There is no plan yet: no silo is alive."), (none.StatusCode, none.Status.Detail));

        _placement.Plan = new PlacementPlan
        {
            Epoch = new Epoch(7, 3),
            Grid = new ExpertGrid(1, 2, 2),
            Shards = [MadeUpPlacement.Shard("a"), MadeUpPlacement.Shard("b")],
            ReplicaStarts = [0, 1, 3, 3, 4],
            ReplicaShards = [1, 0, 1, 0],
        };
        ClusterPlan plan = await _client.GetPlanAsync(new GetPlanRequest());
        Assert.Equal(["m/a/0", "m/b/0"], plan.Shards);
        Assert.Equal("1: 1|0 1, 2: |0", string.Join(", ", plan.Layers.Select(layer => $"{layer.Layer}: {string.Join('|', layer.Experts.Select(expert => string.Join(' ', expert.Shards)))}")));
        Assert.Equal(2u, Assert.Single((await _client.GetPlanAsync(new GetPlanRequest { Layer = 2 })).Layers).Layer);
        RpcException beyond = await Assert.ThrowsAsync<RpcException>(async () => await _client.GetPlanAsync(new GetPlanRequest { Layer = uint.MaxValue }));
        Assert.Equal((StatusCode.NotFound, true), (beyond.StatusCode, beyond.Status.Detail.Contains("layers 1 to 2")));
    }

    [Fact]
    public async Task Every_change_arrives_as_it_was_asked_for()
    {
        ChangeRequest request = new()
        {
            WhatIf = true,
            Changes =
            {
                new Change { Replicate = new Replicate { Layer = 1, Expert = 2, To = { "a", "b" } } },
                new Change { Replicate = new Replicate { Layer = 1, Expert = 2, Copies = 3 } },
                new Change { Replicas = new SetReplicas { Replicas = 2 } },
                new Change { Move = new Move { Layer = 1, Expert = uint.MaxValue, To = "a", From = "b" } },
                new Change { Move = new Move { To = "a" } },
                new Change { Drop = new Drop { Layer = 1, Expert = 2, From = "b" } },
                new Change { Unpin = new Unpin { Expert = new ExpertName { Layer = 1, Expert = 2 } } },
                new Change { Unpin = new Unpin() },
                new Change { Drain = new Drain { Silo = "a" } },
                new Change { Undrain = new Undrain { Silo = "a" } },
                new Change { Rebalance = new Rebalance() },
            },
        };
        ChangeResponse response = await _client.ChangeAsync(request);

        Assert.Equal(
            ["Replicate 1 2 a,b  0 ", "Copies 1 2   3 ", "Replicas 0 0   2 ", $"Move 1 {int.MaxValue} a b 0 ", "Move 0 0 a  0 ", "Drop 1 2  b 0 ", "Unpin 1 2   0 ", "UnpinAll 0 0   0 ", "Drain 0 0   0 a", "Undrain 0 0   0 a", "Rebalance 0 0   0 "],
            _placement.Changes.Select(change => $"{change.Kind} {change.Layer} {change.Expert} {string.Join(',', change.Shards)} {change.From} {change.Copies} {change.Silo}"));
        Assert.True(_placement.WhatIf);
        Assert.True(response.WhatIf);
        Assert.Equal((1u, 2u, 30L, 4u, 5u, "a note"), (response.Changed, response.Loads, response.LoadBytes, response.Drops, response.Staying, Assert.Single(response.Notes)));
        ExpertMove move = Assert.Single(response.Experts);
        Assert.Equal((1u, 2u, "m/a/0", "m/b/0", "why"), (move.Layer, move.Expert, Assert.Single(move.Before), Assert.Single(move.After), move.Reason));
    }

    [Theory]
    [InlineData(PlacementRefusal.NotFound, StatusCode.NotFound)]
    [InlineData(PlacementRefusal.NotPossible, StatusCode.FailedPrecondition)]
    [InlineData(PlacementRefusal.NotReady, StatusCode.Unavailable)]
    [InlineData(PlacementRefusal.Invalid, StatusCode.InvalidArgument)]
    public async Task A_refusal_has_its_status_and_the_placements_sentence(PlacementRefusal refusal, StatusCode code)
    {
        _placement.Fails = new PlacementRefusedException(refusal, "There is no silo z; there are a, b.");
        RpcException refused = await Assert.ThrowsAsync<RpcException>(async () => await _client.GetStatusAsync(new GetStatusRequest()));
        Assert.Equal((code, "There is no silo z; there are a, b."), (refused.StatusCode, refused.Status.Detail));
    }

    [Fact]
    public async Task A_placement_that_is_not_reached_is_unavailable_and_a_change_that_says_nothing_invalid()
    {
        _placement.Fails = new InvalidOperationException("whatever Orleans says.");
        RpcException unreachable = await Assert.ThrowsAsync<RpcException>(async () => await _client.ExplainAsync(new ExplainRequest()));
        Assert.Equal((StatusCode.Unavailable, "The placement cannot be reached: whatever Orleans says. This gateway is not ready: no silo is alive."), (unreachable.StatusCode, unreachable.Status.Detail));

        foreach (Change change in new[] { new Change(), new Change { Replicate = new Replicate { To = { "a" }, Copies = 2 } } })
            Assert.Equal(StatusCode.InvalidArgument, (await Assert.ThrowsAsync<RpcException>(async () => await _client.ChangeAsync(new ChangeRequest { Changes = { change } }))).StatusCode);
    }

    [Fact]
    public async Task A_name_that_is_too_long_is_refused_without_being_repeated()
    {
        string name = new('x', 1 << 20);
        _placement.Fails = new PlacementRefusedException(PlacementRefusal.NotFound, $"There is no silo {name}.");
        Change[] changes =
        [
            new() { Drain = new Drain { Silo = name[..65] } },
            new() { Drain = new Drain { Silo = name } },
            new() { Undrain = new Undrain { Silo = name } },
            new() { Drop = new Drop { From = name } },
            new() { Move = new Move { To = name } },
            new() { Move = new Move { To = "a", From = name } },
            new() { Replicate = new Replicate { To = { "a", name } } },
        ];
        foreach (Change change in changes)
        {
            RpcException refused = await Assert.ThrowsAsync<RpcException>(async () => await _client.ChangeAsync(new ChangeRequest { Changes = { change } }));
            Assert.Equal(StatusCode.InvalidArgument, refused.StatusCode);
            Assert.Matches("^A (silo|shard)'s name has at most [0-9]+ characters, this one has [0-9]+.$", refused.Status.Detail);
        }

        _placement.Fails = null;
        string longest = $"{name[..64]}/{name[..64]}/2147483647";
        await _client.ChangeAsync(new ChangeRequest { Changes = { new Change { Drop = new Drop { From = longest } }, new Change { Drain = new Drain { Silo = name[..64] } } } });
        Assert.Equal([longest, null], _placement.Changes.Select(change => change.From));
    }

    private sealed class MadeUpPlacement : IPlacementAccess, IPlacementGrain
    {
        public Exception? Fails { get; set; }

        public ImmutableArray<Contracts.Operators.PlacementChange> Changes { get; private set; }

        public bool WhatIf { get; private set; }

        public string Cluster => "m";

        public PlacementPlan? Plan { get; set; }

        public string? Problem => "no silo is alive";

        public IPlacementGrain Grain => this;

        public static PlannedShard Shard(string silo) => new(new ShardId("m", silo, 0), 1, "cpu", "int4-g32", "host:1");

        public ValueTask<PlacementPlan?> GetPlanAsync() => ValueTask.FromResult(Plan);

        public ValueTask<PlacementStatus> GetStatusAsync() => Answer(new PlacementStatus
        {
            Epoch = new Epoch(7, 3),
            Grid = new ExpertGrid(1, 2, 2),
            Incomplete = "2 are missing",
            Advice = "rebalance",
            Shards = [new PlacedShard { Shard = Shard("a"), WeightsBudget = 1000, ExpertBytes = 10, Held = 4, Owned = 5, Replicas = 6, Loading = 7, LoadShare = 0.5, RowsPerSecond = 8, Silent = TimeSpan.FromSeconds(1.5) }],
            Gateways = [new GatewayAcknowledgement("g", Epoch.None, TimeSpan.FromSeconds(2))],
            Wishes = new OperatorWishes(["z"], 1, 2, 3, true) { Experts = [new Contracts.Operators.ExpertWish(1, 2, ["m/a/0"], 0), new Contracts.Operators.ExpertWish(2, 1, [], 3)] },
            OnSeveral = 9,
            Losses = [new Contracts.Operators.SiloLoss("a", 8)],
        });

        public ValueTask<ExpertExplanation> ExplainAsync(int layer, int expert) =>
            Answer(new ExpertExplanation { Load = 1.5, Planned = [new Contracts.Operators.PlannedReplica("m/a/0", true, "because")], Serving = [], Held = [] });

        public ValueTask<PlacementOutcome> ChangeAsync(ImmutableArray<Contracts.Operators.PlacementChange> changes, bool whatIf)
        {
            (Changes, WhatIf) = (changes, whatIf);
            return Answer(new PlacementOutcome { Experts = [new ExpertChange(1, 2, ["m/a/0"], ["m/b/0"], "why")], Changed = 1, Loads = 2, LoadBytes = 30, Drops = 4, Notes = ["a note"], Staying = 5 });
        }

        public ValueTask ReportAsync(SiloReport report) => throw new NotSupportedException();

        public ValueTask<int?> CountHomelessAsync(string silo) => throw new NotSupportedException();

        public ValueTask<PlacementPlan?> WaitForPlanAsync(string gateway, Epoch known, TimeSpan patience, CancellationToken cancellationToken) => throw new NotSupportedException();

        private ValueTask<T> Answer<T>(T answer) => Fails is null ? ValueTask.FromResult(answer) : ValueTask.FromException<T>(Fails);
    }
}
