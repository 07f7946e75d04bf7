using K2Cluster.Cluster;
using K2Cluster.Cluster.Membership;
using K2Cluster.Contracts;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Grains.Shards;

/// <summary>
/// Tells the placement grain what shards are here: every second, on every change (20 times a second at most), when a member comes
/// or goes, and soon again after a failure: for then the grain is activated elsewhere and knows nothing yet, and cannot plan
/// before every silo has told it. Nothing throws out of it: while the grain is away, the shards go on with what they have.
/// </summary>
internal sealed partial class SiloReporter(ShardSet shards, ShardHostOptions options, ClusterOptions cluster, IGrainFactory grains, IClusterMembershipService membership, ILocalSiloDetails self, TimeProvider time, ILogger<SiloReporter> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RetryInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ShortestInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>A report is answered in milliseconds; one that was on its way to a placement whose silo died, never.</summary>
    private static readonly TimeSpan CallTimeout = TimeSpan.FromMilliseconds(250);

    /// <summary>How long nothing may be answered before that is a problem.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan LeavePatience = TimeSpan.FromMilliseconds(500);

    /// <summary>How often a report carries the rows of each expert: a CPU that holds a whole Kimi K2 has 23,040 of them.</summary>
    private static readonly TimeSpan RowsInterval = TimeSpan.FromSeconds(5);

    private readonly MemberChanges _members = new(membership, log);
    private readonly Dictionary<ShardId, string?> _problems = [];
    private volatile string? _problem = "not reported yet";
    private long _answered;

    /// <summary>Why the last report did not arrive; null when it did.</summary>
    public string? Problem => _problem;

    /// <summary>Says that the silo leaves, so that its experts go elsewhere before anybody misses them.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken).ConfigureAwait(false);
        if (_problem is null)
            await TryReportAsync(new SiloReport(cluster.SiloName, options.Grid, [], self.SiloAddress), LeavePatience, cancellationToken).ConfigureAwait(false);
    }

    public override void Dispose()
    {
        base.Dispose();
        _members.Dispose();
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(Task.Run(() => ReportAsync(stoppingToken), stoppingToken), Task.Run(() => _members.FollowAsync(_ => shards.Wake(), stoppingToken), stoppingToken));

    private async Task ReportAsync(CancellationToken stoppingToken)
    {
        _answered = time.GetTimestamp();
        long? counted = null;
        while (!stoppingToken.IsCancellationRequested)
        {
            bool withRows = counted is not { } last || time.GetElapsedTime(last) >= RowsInterval;
            if (withRows)
                counted = time.GetTimestamp();
            SiloReport report = new(cluster.SiloName, options.Grid, [.. shards.All.Select(shard => withRows ? shard.ReportWithRows() : shard.Report)], self.SiloAddress);
            LogProblems(report);
            bool isAnswered = !report.Shards.IsEmpty && await TryReportAsync(report, CallTimeout, stoppingToken).ConfigureAwait(false);
            await Task.Delay(ShortestInterval, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await shards.WaitForChangeAsync(isAnswered ? Interval : RetryInterval, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Each problem once, when it comes.</summary>
    private void LogProblems(SiloReport report)
    {
        foreach (ShardReport shard in report.Shards)
        {
            if (shard.Problem is { } problem && _problems.GetValueOrDefault(shard.Shard.Id) != problem)
                LogShardProblem(log, shard.Shard.Id, problem);
            _problems[shard.Shard.Id] = shard.Problem;
        }
    }

    /// <returns>Whether it was answered.</returns>
    private async Task<bool> TryReportAsync(SiloReport report, TimeSpan timeout, CancellationToken cancellationToken)
    {
        CancellationToken memberChanged = _members.Next;
        try
        {
            using CancellationTokenSource given = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, memberChanged);
            await grains.GetGrain<IPlacementGrain>(cluster.ClusterId).ReportAsync(report).AsTask().WaitAsync(timeout, time, given.Token).ConfigureAwait(false);
            _answered = time.GetTimestamp();
            _problem = null;
            return true;
        }
        catch (Exception exception)
        {
            bool isEarly = exception is TimeoutException && time.GetElapsedTime(_answered) < Patience;
            if (isEarly || cancellationToken.IsCancellationRequested || memberChanged.IsCancellationRequested)
                return false;
            if (_problem != exception.Message)
                LogFailed(log, exception.Message);
            _problem = exception.Message;
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The placement grain did not take this silo's report; trying again: {Reason}")]
    private static partial void LogFailed(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Shard {Shard}: {Problem}")]
    private static partial void LogShardProblem(ILogger logger, ShardId shard, string problem);
}
