using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Cluster.Membership;

/// <summary>
/// Looks five times a second whether a process of the membership table is gone, or the table newer than what Orleans knows,
/// and then has Orleans read it. Reading is what declares the dead dead, so that calls to them fail within 0.2 s instead of
/// after the probes' 1-12 s, and a newcomer is known as soon. One look costs a small file and one /proc file a member (some
/// 50 µs); a pidfd each would save that and cost native code, a thread, and still the look at the table for newcomers.
/// A stopped or stuck process stays for Orleans' probes to judge.
/// </summary>
internal sealed partial class ProcessWatcher(FileMembershipTable table, IClusterMembershipService membership, TimeProvider time, ILogger<ProcessWatcher> log) : BackgroundService
{
    internal static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(Interval, time);
        bool failed = false;
        while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
        {
            try
            {
                if (table.HasNews(membership.CurrentSnapshot.Version.Value))
                    await membership.Refresh(default, stoppingToken).ConfigureAwait(false);
                failed = false;
            }
            catch (Exception exception) when (exception is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
            {
                if (!failed)
                    LogFailed(log, exception);
                failed = true;
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The membership table cannot be watched; Orleans' probes still find dead members, only later")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
