using System.Collections.Immutable;
using K2Cluster.Cluster.Plans.Stores;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Planning;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Concurrency;
using Orleans.Metadata;
using Orleans.Placement;

namespace K2Cluster.Grains.Placement;

/// <summary>
/// One for each model, on any silo with shards; when that dies, another is activated elsewhere at the next call and learns
/// all it needs from the reports. Reentrant: gateways wait in it for the next plan.
/// </summary>
[Reentrant]
[KeepAlive]
[Immovable]
[RandomPlacement]
internal sealed partial class PlacementGrain(IGrainFactory grains, IClusterMembershipService membership, IClusterManifestProvider manifests, IHostApplicationLifetime lifetime, TimeProvider time, IPlanStore store, ILogger<PlanKeeper> keeperLog, ILogger<PlacementGrain> log) : Grain, IPlacementGrain, IDisposable
{
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(100);

    /// <summary>Reports come 20 times a second from each silo that loads; each round looks at every expert.</summary>
    private static readonly TimeSpan ShortestPeriod = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan AssignTimeout = TimeSpan.FromSeconds(5);

    private readonly Placement _placement = new(new PlacementOptions(), time);
    private readonly PlanKeeper _keeper = new(store, time, keeperLog);
    private readonly CancellationTokenSource _ending = new();
    private readonly Dictionary<string, SiloAddress?> _ignored = [];
    private (PlacementWishes Wishes, ExpertGrid Grid) _planned = (PlacementWishes.None, default);
    private TaskCompletionSource _published = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private PlacementDesk Desk => new(_placement);

    private AdvancePace Pace => field ??= new AdvancePace(ShortestPeriod, time, Advance);

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        await KeepAsync(); // a store that hangs is not waited for long
        this.RegisterGrainTimer(
            _ =>
            {
                KeepAsync().Ignore(); // it does not fail
                Pace.Soon();
                return Task.CompletedTask;
            },
            new GrainTimerCreationOptions(Period, Period) { Interleave = true });
        FollowMembersAsync(_ending.Token).Ignore();
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        _ending.Cancel();
        return Task.CompletedTask;
    }

    public void Dispose() => _ending.Dispose();

    public ValueTask ReportAsync(SiloReport report)
    {
        if (_placement.Report(report, IsAlive))
            Pace.Soon();
        else if (_ignored.GetValueOrDefault(report.Silo) != report.Address)
        {
            _ignored[report.Silo] = report.Address; // it reports every second
            LogNamesake(log, report.Silo, report.Address);
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask<int?> CountHomelessAsync(string silo) => ValueTask.FromResult(_placement.CountHomeless(silo));

    public ValueTask<PlacementPlan?> GetPlanAsync() => ValueTask.FromResult(_placement.Plan);

    public ValueTask<PlacementStatus> GetStatusAsync() => ValueTask.FromResult(Desk.Status(_keeper.Wishes, _keeper.IsKept));

    public ValueTask<ExpertExplanation> ExplainAsync(int layer, int expert) => ValueTask.FromResult(Desk.Explain(_keeper.Wishes, layer, expert));

    public async ValueTask<PlacementOutcome> ChangeAsync(ImmutableArray<PlacementChange> changes, bool whatIf)
    {
        Pace.Now();
        (PlacementWishes wishes, bool rebalances) = Desk.Edit(_keeper.Wishes, changes);
        if (whatIf)
            return Desk.WhatIf(wishes, rebalances, changes);

        ExpertPlan before = _placement.Intended!;
        Wish(wishes);
        if (rebalances)
            _placement.Rebalance();
        foreach (PlacementChange change in changes)
            LogChanged(log, change);
        Pace.Now();
        PlacementOutcome outcome = Desk.Outcome(before, _placement.Intended!, wishes, changes);
        await KeepAsync();
        if (!_keeper.IsKept)
            await KeepAsync(); // what was under way had begun before
        return _keeper.IsKept ? outcome : outcome with { Notes = outcome.Notes.Add("It is in force, but could not be written to the store yet (see the log of the silos): until it is, it ends with the placement's process.") };
    }

    public async ValueTask<PlacementPlan?> WaitForPlanAsync(string gateway, Epoch known, TimeSpan patience, CancellationToken cancellationToken)
    {
        _placement.Acknowledge(gateway, known);
        Pace.Soon();
        using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lifetime.ApplicationStopping);
        long start = time.GetTimestamp();
        patience = patience < LongestPatience ? patience : LongestPatience;
        while (_placement.Plan is not { } plan || plan.Epoch <= known)
        {
            TimeSpan left = patience - time.GetElapsedTime(start);
            if (left <= TimeSpan.Zero)
                return null;
            await _published.Task.WaitAsync(left, time, ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);

            // The silo waits for our calls before it lets go of the grain: a poll that stayed would keep everybody from the next one.
            ending.Token.ThrowIfCancellationRequested();
        }

        return _placement.Plan;
    }

    /// <summary>Goes on above what the placement before this one left, as soon as that can be read.</summary>
    private async Task KeepAsync()
    {
        await _keeper.AdvanceAsync(_placement.Generation);
        if (_keeper.Stored >= _placement.Generation)
            _placement.StartAbove(new Epoch(_keeper.Stored, long.MaxValue));
    }

    /// <summary>A death is acted on when it is known, not at the next tick.</summary>
    private async Task FollowMembersAsync(CancellationToken ending)
    {
        await foreach (ClusterMembershipSnapshot _ in membership.MembershipUpdates.WithCancellation(ending))
            Pace.Now();
    }

    /// <exception cref="PlacementRefusedException">They cannot be kept.</exception>
    private void Wish(PlacementWishes wishes)
    {
        try
        {
            _keeper.SetWishes(wishes);
        }
        catch (InvalidOperationException exception)
        {
            throw new PlacementRefusedException(PlacementRefusal.NotReady, exception.Message);
        }
        catch (ArgumentException exception)
        {
            throw new PlacementRefusedException(PlacementRefusal.Invalid, exception.Message);
        }
    }

    /// <summary>Tells the placement what operators wish for, in numbers of the model that it knows by now.</summary>
    private void TakeWishes()
    {
        if (ReferenceEquals(_planned.Wishes, _keeper.Wishes) && _planned.Grid == _placement.Grid)
            return;
        _planned = (_keeper.Wishes, _placement.Grid);
        _placement.Wishes = _keeper.Wishes.ToPlan(_placement.Grid);
    }

    private void Advance()
    {
        if (_ending.IsCancellationRequested)
            return; // another may be activated already
        TakeWishes();
        PlacementPlan? before = _placement.Plan;
        foreach ((ShardId shard, ShardAssignment assignment) in _placement.Advance(View()))
            _ = AssignAsync(shard, assignment);
        if (ReferenceEquals(_placement.Plan, before))
            return;

        PlacementPlan plan = _placement.Plan!;
        LogPlan(log, plan.Epoch, plan.Shards.Length, plan.Incomplete ?? "complete");
        _published.SetResult();
        _published = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>Several may be under way to a shard: it takes the newest, and each is sent again at most once a second.</summary>
    private async Task AssignAsync(ShardId shard, ShardAssignment assignment)
    {
        try
        {
            ShardReport report = await grains.GetGrain<IExpertShardGrain>(shard.ToString()).AssignAsync(assignment).AsTask().WaitAsync(AssignTimeout, time);
            _placement.Report(report);
            Pace.Soon();
        }
        catch (Exception exception)
        {
            LogAssignFailed(log, shard, exception.Message);
        }
    }

    private SiloView View()
    {
        HashSet<string> alive = [];
        HashSet<string> known = [];
        HashSet<string> hosts = [];
        HashSet<string> gateways = [];
        ImmutableDictionary<SiloAddress, GrainManifest> silos = manifests.Current.Silos;
        foreach (ClusterMember member in membership.CurrentSnapshot.Members.Values)
        {
            known.Add(member.Name);
            if (!IsAlive(member))
                continue;
            alive.Add(member.Name); // one that joins may be further than we know
            if (member.Status == SiloStatus.Active && silos.TryGetValue(member.SiloAddress, out GrainManifest? manifest))
                (manifest.Grains.ContainsKey(GrainContext.GrainId.Type) ? hosts : gateways).Add(member.Name);
        }

        known.ExceptWith(alive);
        return new SiloView(hosts, known, gateways);
    }

    private bool IsAlive(SiloAddress address) => membership.CurrentSnapshot.Members.TryGetValue(address, out ClusterMember? member) && IsAlive(member);

    private static bool IsAlive(ClusterMember member) => member.Status is not (SiloStatus.ShuttingDown or SiloStatus.Stopping or SiloStatus.Dead);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A second silo named {Silo} ({Address}) reports shards while the first is alive; it is ignored: give it another --silo-name, or stop one")]
    private static partial void LogNamesake(ILogger logger, string silo, SiloAddress? address);

    [LoggerMessage(Level = LogLevel.Information, Message = "An operator changes the placement: {Change}")]
    private static partial void LogChanged(ILogger logger, PlacementChange change);

    [LoggerMessage(Level = LogLevel.Debug, Message = "New placement plan {Epoch} on {Shards} shards, {State}")]
    private static partial void LogPlan(ILogger logger, Epoch epoch, int shards, string state);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Shard {Shard} did not take its assignment; trying again: {Reason}")]
    private static partial void LogAssignFailed(ILogger logger, ShardId shard, string reason);
}
