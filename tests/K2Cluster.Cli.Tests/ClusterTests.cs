using System.Text.Json;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Cli.Tests;

public sealed class ClusterTests
{
    private static readonly PlanEpoch Epoch = new() { Generation = 7, Counter = 3 };

    [Fact]
    public async Task Status_says_what_is_wrong_first_and_names_shards_without_the_cluster()
    {
        ClusterStatus status = Status(("a", 3), ("b", 0));
        status.Incomplete = "shard m/b/0: disk on fire";
        status.Shards[1].Problem = "disk on fire";
        status.Gateways.Add(new GatewayState { Name = "g-1", Epoch = Epoch, SilentSeconds = 1 });
        status.Gateways.Add(new GatewayState { Name = "g-2", Epoch = new PlanEpoch { Generation = 6 }, SilentSeconds = 12 });
        status.Wishes = new Wishes { Drained = { "a" }, Pinned = 1, Replicas = 2 };
        status.Advice = "move m/b/0";
        string output = await OutputAsync(new MadeUpAdmin().With(status), "status");

        Assert.StartsWith("m: 2 × 4 experts, plan 7.3\nNOT COMPLETE: shard b/0: disk on fire\nNOTE: move b/0\n", output);
        Assert.Matches(@"a/0 +cpu +3 +0 +3 +0 +3 MB +12 MB +50 % +1,000 +drains", output);
        Assert.Contains("PROBLEM: disk on fire", output);
        Assert.Matches("g-1 +current +1.0 s ago", output);
        Assert.Matches("g-2 +6.0 +12.0 s ago, SILENT", output);
        Assert.Contains("Wanted: drained: a; 1 expert on shards of an operator's choice; 2 replicas of every expert where there is room. k2 cluster wishes lists it.", output);
        Assert.Contains("could not be written to the store", output);
    }

    [Theory]
    [InlineData("Replicas: 5 of 8 experts are on two silos or more. Without reloading may be lost: b; not a (3 experts are only there).", 5, 3, 0)]
    [InlineData("Replicas: 6 of 8 experts are on two silos or more. Without reloading may be lost: none; not a (1 expert is only there), b (1 expert is only there).", 6, 1, 1)]
    [InlineData("Replicas: 8 of 8 experts are on two silos or more. Any silo may be lost without reloading.", 8, 0, 0)]
    [InlineData("Replicas: 7 of 8 experts are on two silos or more.", 7, 0, 0)]
    public async Task Status_says_which_silos_may_be_lost(string expected, uint several, uint onlyA, uint onlyB)
    {
        ClusterStatus status = Status(("a", 3), ("b", 0));
        status.OnSeveral = several;
        status.Losses.Add(new SiloLoss { Silo = "a", Experts = onlyA });
        status.Losses.Add(new SiloLoss { Silo = "b", Experts = onlyB });
        Assert.Contains($"\n{expected}\n", await OutputAsync(new MadeUpAdmin().With(status), "status"));
    }

    [Fact]
    public async Task Wishes_are_listed_each_with_the_command_that_takes_it_back()
    {
        ClusterStatus status = Status(("a", 3), ("b", 0));
        status.Wishes = new Wishes
        {
            Drained = { "z" },
            Pinned = 1,
            Copied = 1,
            Replicas = 1,
            Kept = true,
            Experts = { new ExpertWish { Layer = 1, Expert = 2, Shards = { "m/a/0", "m/y/0" } }, new ExpertWish { Layer = 2, Expert = 3, Copies = 3 } },
        };
        MadeUpAdmin admin = new MadeUpAdmin().With(status);
        string output = await OutputAsync(admin, "wishes");
        Assert.Matches(@"silo z \(not there now\) holds nothing +k2 cluster undrain z", output);
        Assert.Matches(@"layer 1 expert 2 is on a/0, y/0 \(not there now\) and nowhere else +k2 cluster unpin 1 2", output);
        Assert.Matches(@"layer 2 expert 3 has 3 replicas +k2 cluster unpin 2 3", output);
        Assert.Matches(@"every expert has 1 replica +k2 cluster replicate --all --copies 2", output);
        Assert.DoesNotContain("NOTE", output);

        using JsonDocument json = JsonDocument.Parse(await OutputAsync(admin, "wishes", "--json"));
        Assert.Equal("m/y/0", json.RootElement.GetProperty("experts")[0].GetProperty("shards")[1].GetString());

        status.Wishes.Experts.Clear(); // as from a silo that does not list them
        Assert.Contains("NOTE: wishes for 2 experts are not listed", await OutputAsync(admin, "wishes"));
        status.Wishes = new Wishes { Replicas = 2, Kept = true };
        Assert.StartsWith("Nothing is wished for", await OutputAsync(admin, "wishes"));
    }

    [Fact]
    public async Task Plan_counts_each_layer_or_lists_one()
    {
        MadeUpAdmin admin = new()
        {
            Plan = new ClusterPlan
            {
                Cluster = "m",
                Epoch = Epoch,
                Shards = { "m/a/0", "m/b/0" },
                Layers = { new LayerPlan { Layer = 1, Experts = { Place(0), Place(0, 1), Place(1), Place() } } },
            },
        };

        Assert.Matches(@"1 +2 +2 +1 +1", await OutputAsync(admin, "plan"));
        string layer = await OutputAsync(admin, "plan", "--layer", "1");
        Assert.Matches(@"1 +a/0, b/0", layer);
        Assert.Matches("3 +NOWHERE", layer);
        Assert.Equal([false, true], admin.Requests.Cast<GetPlanRequest>().Select(request => request.HasLayer));

        static ExpertPlace Place(params uint[] shards) => new() { Shards = { shards } };
    }

    [Fact]
    public async Task Explain_says_where_an_expert_is_is_to_be_and_why()
    {
        MadeUpAdmin admin = new()
        {
            Explanation = new Explanation
            {
                Cluster = "m",
                Layer = 1,
                Expert = 2,
                Load = 1.5,
                Wish = "on m/b/0",
                Planned = { new PlannedReplica { Shard = "m/b/0", Owner = true, Reason = "the operator wants it there" } },
                Serving = { "m/a/0" },
                Held = { "m/a/0" },
            },
        };
        string output = await OutputAsync(admin, "explain", "1", "2");

        Assert.Contains("Layer 1 expert 2, asked for 1.5 times", output);
        Assert.Contains("An operator wants it on b/0.", output);
        Assert.Matches("b/0 +owner +loads it +the operator wants it there", output);
        Assert.Matches("a/0 +to drop +serves it", output);
    }

    [Theory]
    [InlineData("""{ "changes": [ { "replicate": { "layer": 1, "expert": 2, "to": [ "a", "b/1" ] } } ] }""", "replicate", "1", "2", "--to", "a", "b/1")]
    [InlineData("""{ "changes": [ { "replicate": { "layer": 1, "expert": 2, "copies": 3 } } ] }""", "replicate", "1", "2", "--copies", "3")]
    [InlineData("""{ "changes": [ { "replicas": { "replicas": 2 } } ] }""", "replicate", "--all", "--copies", "2")]
    [InlineData("""{ "changes": [ { "move": { "layer": 1, "expert": 2, "to": "a", "from": "b" } } ] }""", "move", "1", "2", "--to", "a", "--from", "b")]
    [InlineData("""{ "changes": [ { "drop": { "layer": 1, "expert": 2, "from": "b" } } ] }""", "drop", "1", "2", "--from", "b")]
    [InlineData("""{ "changes": [ { "unpin": { "expert": { "layer": 1, "expert": 2 } } } ] }""", "unpin", "1", "2")]
    [InlineData("""{ "changes": [ { "unpin": { } } ] }""", "unpin", "--all")]
    [InlineData("""{ "changes": [ { "undrain": { "silo": "a" } } ] }""", "undrain", "a")]
    [InlineData("""{ "changes": [ { "drain": { "silo": "a" } } ] }""", "drain", "a", "--no-wait")]
    [InlineData("""{ "changes": [ { "rebalance": { } } ] }""", "rebalance")]
    [InlineData("""{ "changes": [ { "rebalance": { } } ], "whatIf": true }""", "rebalance", "--what-if")]
    [InlineData("""{ "changes": [ { "drain": { "silo": "a" } } ], "whatIf": true }""", "what-if", "drain", "a")]
    public async Task A_change_is_asked_for_as_it_was_typed(string expected, params string[] args)
    {
        MadeUpAdmin admin = new();
        await OutputAsync(admin, args);
        Assert.Equal(expected, Assert.Single(admin.Requests).ToString());
    }

    [Fact]
    public async Task A_change_tells_what_goes_where_and_json_is_for_programs()
    {
        MadeUpAdmin admin = new()
        {
            Response = new ChangeResponse
            {
                Cluster = "m",
                Changed = 1,
                Loads = 1,
                LoadBytes = 13_500,
                Drops = 1,
                Experts = { new ExpertMove { Layer = 1, Expert = 2, Before = { "m/a/0" }, After = { "m/b/0" }, Reason = "because" } },
                Notes = { "m/b/0 is small" },
            },
        };
        string text = await OutputAsync(admin, "what-if", "move", "1", "2", "--to", "b");
        Assert.StartsWith("Would change 1 expert: 1 to load (13.5 KB), 1 to drop.", text);
        Assert.Matches("1 +2 +a/0 +b/0 +because", text);
        Assert.Contains("NOTE: b/0 is small", text);

        using JsonDocument json = JsonDocument.Parse(await OutputAsync(admin, "move", "1", "2", "--to", "b", "--json"));
        Assert.Equal("m/b/0", json.RootElement.GetProperty("experts")[0].GetProperty("after")[0].GetString());
        Assert.Equal(1, json.RootElement.GetProperty("loads").GetInt32());
    }

    [Fact]
    public async Task Drain_waits_until_the_silo_holds_nothing_and_not_for_what_has_to_stay()
    {
        ClusterStatus[] steps = [Status(("a", 3), ("b", 1)), Status(("a", 0), ("b", 4))];
        foreach (ClusterStatus step in steps)
            (step.Wishes, step.Shards[0].Owned, step.Shards[1].Loading) = (new Wishes { Drained = { "a" } }, 0, step.Shards[0].Held);
        (int code, _, string error) = await ToolRun.RunAsync(_ => new MadeUpAdmin().With(steps), "cluster", "drain", "a");
        Assert.Equal((0, "a holds 3 experts, others load 3\na holds nothing now: it can be stopped.\n"), (code, error));

        ClusterStatus full = Status(("a", 3), ("b", 1));
        full.Wishes = new Wishes { Drained = { "a" } };
        MadeUpAdmin stuck = new MadeUpAdmin { Response = new ChangeResponse { Cluster = "m", Notes = { "3 experts stay on a: undrain b." } } }.With(full);
        (code, _, error) = await ToolRun.RunAsync(_ => stuck, "cluster", "drain", "a", "--json");
        Assert.Equal((1, "a still holds 3 experts, and they go by themselves when another shard has room.\n3 experts stay on a: undrain b.\n"), (code, error));
        Assert.Equal([false, true], stuck.Requests.OfType<ChangeRequest>().Select(request => request.WhatIf));

        ChangeResponse stays = new() { Cluster = "m", Staying = 3 };
        Assert.Equal(1, (await ToolRun.RunAsync(_ => new MadeUpAdmin { Response = stays }, "cluster", "what-if", "drain", "a")).Code);

        (code, _, error) = await ToolRun.RunAsync(_ => new MadeUpAdmin().With(Status(("a", 3))), "cluster", "drain", "a");
        Assert.Equal(1, code);
        Assert.Contains("somebody has taken it back", error);
    }

    [Fact]
    public async Task Of_several_gateways_the_next_is_asked_and_a_refusal_is_final()
    {
        MadeUpAdmin dead = new() { Fails = new RpcException(new Status(StatusCode.Unavailable, "gone", new HttpRequestException("refused"))) };
        MadeUpAdmin alive = new MadeUpAdmin().With(Status(("a", 3)));
        (int code, string output, _) = await ToolRun.RunAsync(address => address.Port == 1 ? dead : alive, "cluster", "--url", "http://h:1,http://h:2", "status");
        Assert.Equal(0, code);
        Assert.Contains("a/0", output);

        (code, _, string error) = await ToolRun.RunAsync(_ => dead, "cluster", "status", "--url", "http://h:1");
        Assert.Equal(1, code);
        Assert.StartsWith("No gateway answers at http://h:1/ (refused).", error);
        Assert.Contains("--url", error);
        Assert.Contains("The silos go on", error);

        MadeUpAdmin refusing = new() { Fails = new RpcException(new Status(StatusCode.NotFound, "There is no silo z; there are a, b.")) };
        (code, _, error) = await ToolRun.RunAsync(_ => refusing, "cluster", "drain", "z", "--url", "http://h:1,http://h:2");
        Assert.Equal((1, "There is no silo z; there are a, b.\n"), (code, error));
        Assert.Single(refusing.Requests);
    }

    [Fact]
    public async Task A_change_is_asked_of_the_next_gateway_only_where_the_first_cannot_have_heard_it()
    {
        string[] drain = ["cluster", "--url", "http://h:1,http://h:2", "drain", "a", "--no-wait"];
        foreach (RpcException unclear in new[] { new RpcException(new Status(StatusCode.DeadlineExceeded, "too late")), new RpcException(new Status(StatusCode.Unavailable, "reset", new HttpRequestException(HttpRequestError.ResponseEnded))) })
        {
            (MadeUpAdmin first, MadeUpAdmin second) = (new() { Fails = unclear }, new());
            (int failed, _, string error) = await ToolRun.RunAsync(address => address.Port == 1 ? first : second, drain);
            Assert.Equal(1, failed);
            Assert.StartsWith($"The gateway at http://h:1/ did not tell what came of the change ({unclear.Status.Detail}). It may be in force all the same", error);
            Assert.Empty(second.Requests);

            // To ask what would come of it changes nothing.
            Assert.Equal(0, (await ToolRun.RunAsync(address => address.Port == 1 ? first : second, [.. drain[..3], "what-if", "drain", "a"])).Code);
        }

        MadeUpAdmin dead = new() { Fails = new RpcException(new Status(StatusCode.Unavailable, "refused", new HttpRequestException(HttpRequestError.ConnectionError))) };
        MadeUpAdmin alive = new();
        Assert.Equal(0, (await ToolRun.RunAsync(address => address.Port == 1 ? dead : alive, drain)).Code);
        Assert.Single(alive.Requests);
    }

    [Theory]
    [InlineData("LAYER", "replicate", "--copies", "2")]
    [InlineData("--to SHARD or --copies N", "replicate", "1", "2")]
    [InlineData("--to SHARD or --copies N", "replicate", "1", "2", "--to", "a", "--copies", "2")]
    [InlineData("--copies", "replicate", "--all")]
    [InlineData("--to", "move", "1", "2")]
    [InlineData("LAYER", "move", "-1", "2", "--to", "a")]
    [InlineData("--all", "unpin")]
    [InlineData("--all", "unpin", "1", "2", "--all")]
    [InlineData("--layer", "plan", "--layer", "-1")]
    [InlineData("SILO", "drain")]
    [InlineData("--cluster-id", "status", "--cluster-id", "x")]
    [InlineData("--url", "status", "--direct", "--url", "http://h:1")]
    [InlineData("ask the gateway", "status", "--direct", "--cluster", "embedded", "--cluster-id", "x")]
    [InlineData("--redis HOST:PORT", "status", "--direct", "--cluster", "redis", "--cluster-id", "x")]
    [InlineData("--tls-key", "status", "--direct", "--cluster-id", "x", "--tls-cert", "a.pem")]
    public async Task Wrong_usage_is_code_2_and_asks_nobody(string mention, params string[] args)
    {
        (int code, _, string error) = await ToolRun.RunAsync(_ => throw new InvalidOperationException("asked"), ["cluster", .. args]);

        Assert.Equal(2, code);
        Assert.Contains(mention, error);
    }

    private static async Task<string> OutputAsync(MadeUpAdmin admin, params string[] args)
    {
        (int code, string output, string error) = await ToolRun.RunAsync(_ => admin, ["cluster", .. args]);
        Assert.Equal((0, ""), (code, error));
        return output;
    }

    private static ClusterStatus Status(params (string Silo, uint Held)[] silos) => new()
    {
        Cluster = "m",
        Epoch = Epoch,
        Layers = 2,
        ExpertsPerLayer = 4,
        Shards = { silos.Select(silo => new ShardState { Id = $"m/{silo.Silo}/0", Silo = silo.Silo, Kind = "cpu", BudgetBytes = 12_000_000, ExpertBytes = 1_000_000, Held = silo.Held, Owned = silo.Held, LoadShare = 0.5, RowsPerSecond = 1000 }) },
        Wishes = new Wishes { Replicas = 1 },
    };
}
