using K2Cluster.Cluster.Membership;
using K2Cluster.Contracts;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Metadata;

namespace K2Cluster.Cluster.Plans;

/// <summary>
/// Keeps the board current: long-polls the placement grain, which also acknowledges the plan in use, and follows membership,
/// so that readiness knows when nobody is left who could make the next plan. Nothing throws out of it.
/// </summary>
internal sealed partial class PlanWatcher(PlanBoard board, ClusterOptions options, IGrainFactory grains, IClusterMembershipService membership, IClusterManifestProvider manifests, GrainInterfaceTypeResolver interfaces, TimeProvider time, ILogger<PlanWatcher> log) : BackgroundService
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>How much later than <see cref="Patience"/> an answer may come: a question that was on its way to a placement whose silo died is never answered.</summary>
    private static readonly TimeSpan AnswerMargin = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(1);

    private readonly MemberChanges _members = new(membership, log);

    public override void Dispose()
    {
        base.Dispose();
        _members.Dispose();
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(Task.Run(() => WatchPlanAsync(stoppingToken), stoppingToken), Task.Run(() => _members.FollowAsync(snapshot => board.SetGone(Gone(snapshot)), stoppingToken), stoppingToken));

    private async Task WatchPlanAsync(CancellationToken stopping)
    {
        TimeSpan delay = FirstDelay;
        while (!stopping.IsCancellationRequested)
        {
            CancellationToken memberChanged = _members.Next;
            using CancellationTokenSource given = CancellationTokenSource.CreateLinkedTokenSource(stopping, memberChanged);
            try
            {
                // Not kept: where no silo is known that has the class, getting it throws, too.
                IPlacementGrain grain = grains.GetGrain<IPlacementGrain>(options.ClusterId);
                PlacementPlan? plan = await grain.WaitForPlanAsync(options.SiloName, board.Current?.Epoch ?? Epoch.None, Patience, given.Token).AsTask().WaitAsync(Patience + AnswerMargin, time, given.Token).ConfigureAwait(false);
                if (plan is not null)
                    Publish(plan);
                else if (board.Current is null)
                    board.SetProblem($"no silo has reported shards of {options.ClusterId} yet");
                delay = FirstDelay;
            }
            catch (Exception) when (memberChanged.IsCancellationRequested && !stopping.IsCancellationRequested)
            {
                // Asked anew: the placement may have been on the silo that went.
            }
            catch (Exception exception) when (!stopping.IsCancellationRequested)
            {
                LogPollFailed(log, exception.Message);
                board.SetProblem(Explain());
                await Task.Delay(delay, time, stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                delay = delay * 2 < LongestDelay ? delay * 2 : LongestDelay;
            }
            catch (Exception)
            {
                return; // stopping
            }
        }
    }

    private void Publish(PlacementPlan plan)
    {
        PlacementPlan? before = board.Current;
        board.Publish(plan);
        board.SetGone(Gone(membership.CurrentSnapshot));

        // While experts are loaded there are several plans a second.
        bool isNews = before is null || (before.Shards.Length, before.Incomplete is null, before.IsFilling) != (plan.Shards.Length, plan.Incomplete is null, plan.IsFilling);
        LogPlan(log, isNews ? LogLevel.Information : LogLevel.Debug, plan.Epoch, plan.Shards.Length, plan.Incomplete ?? "complete");
    }

    private string Explain() =>
        !membership.CurrentSnapshot.Members.Values.Any(member => member.Status == SiloStatus.Active && CanHostShards(member))
            ? $"no silo of cluster {options.ClusterId} is alive: start one"
            : "the placement grain cannot be reached; trying again";

    /// <summary>Whether a member has our grains, as silos do and gateways do not.</summary>
    private bool CanHostShards(ClusterMember member)
    {
        string contract = interfaces.GetGrainInterfaceType(typeof(IPlacementGrain)).ToString();
        return manifests.Current.Silos.TryGetValue(member.SiloAddress, out GrainManifest? manifest)
            && manifest.Grains.Values.Any(grain => grain.Properties.Any(property => property.Key.StartsWith(WellKnownGrainTypeProperties.ImplementedInterfacePrefix, StringComparison.Ordinal) && property.Value == contract));
    }

    private string? Gone(ClusterMembershipSnapshot snapshot)
    {
        if (board.Current is not { } plan)
            return null;
        HashSet<string> alive = [.. snapshot.Members.Values.Where(member => member.Status is not (SiloStatus.ShuttingDown or SiloStatus.Stopping or SiloStatus.Dead)).Select(member => member.Name)];
        return plan.Shards.IsEmpty || plan.Shards.Any(shard => alive.Contains(shard.Id.Silo)) ? null
            : $"every silo with shards is gone ({string.Join(", ", plan.Shards.Select(shard => shard.Id.Silo).Distinct().Take(3))}): start one";
    }

    [LoggerMessage(Message = "Placement plan {Epoch}: {Shards} shards, {State}")]
    private static partial void LogPlan(ILogger logger, LogLevel level, Epoch epoch, int shards, string state);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Asking for the placement plan failed: {Reason}")]
    private static partial void LogPollFailed(ILogger logger, string reason);
}
