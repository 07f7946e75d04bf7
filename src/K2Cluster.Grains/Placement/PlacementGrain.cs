using K2Cluster.Contracts;
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
internal sealed partial class PlacementGrain(IGrainFactory grains, IClusterMembershipService membership, IClusterManifestProvider manifests, IHostApplicationLifetime lifetime, TimeProvider time, ILogger<PlacementGrain> log) : Grain, IPlacementGrain
{
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan AssignTimeout = TimeSpan.FromSeconds(5);

    private readonly Placement _placement = new(new PlacementOptions(), time);
    private TaskCompletionSource _published = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        this.RegisterGrainTimer(
            _ =>
            {
                Advance();
                return Task.CompletedTask;
            },
            new GrainTimerCreationOptions(Period, Period) { Interleave = true });
        return Task.CompletedTask;
    }

    public ValueTask ReportAsync(SiloReport report)
    {
        if (_placement.Report(report, IsAlive))
            Advance();
        else
            LogNamesake(log, report.Silo, report.Address);
        return ValueTask.CompletedTask;
    }

    public async ValueTask<PlacementPlan?> WaitForPlanAsync(string gateway, Epoch known, TimeSpan patience, CancellationToken cancellationToken)
    {
        _placement.Acknowledge(gateway, known);
        Advance();
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

    private void Advance()
    {
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
        System.Collections.Immutable.ImmutableDictionary<SiloAddress, GrainManifest> silos = manifests.Current.Silos;
        foreach (ClusterMember member in membership.CurrentSnapshot.Members.Values)
        {
            known.Add(member.Name);
            if (!IsAlive(member))
                continue;
            alive.Add(member.Name); // one that joins may be further than we know
            if (member.Status == SiloStatus.Active && silos.TryGetValue(member.SiloAddress, out GrainManifest? manifest) && manifest.Grains.ContainsKey(GrainContext.GrainId.Type))
                hosts.Add(member.Name);
        }

        known.ExceptWith(alive);
        return new SiloView(hosts, known);
    }

    private bool IsAlive(SiloAddress address) => membership.CurrentSnapshot.Members.TryGetValue(address, out ClusterMember? member) && IsAlive(member);

    private static bool IsAlive(ClusterMember member) => member.Status is not (SiloStatus.ShuttingDown or SiloStatus.Stopping or SiloStatus.Dead);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A second silo named {Silo} ({Address}) reports shards while the first is alive; it is ignored: give it another --silo-name, or stop one")]
    private static partial void LogNamesake(ILogger logger, string silo, SiloAddress? address);

    [LoggerMessage(Level = LogLevel.Debug, Message = "New placement plan {Epoch} on {Shards} shards, {State}")]
    private static partial void LogPlan(ILogger logger, Epoch epoch, int shards, string state);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Shard {Shard} did not take its assignment; trying again: {Reason}")]
    private static partial void LogAssignFailed(ILogger logger, ShardId shard, string reason);
}
