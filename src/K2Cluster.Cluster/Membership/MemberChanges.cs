using Microsoft.Extensions.Logging;

namespace K2Cluster.Cluster.Membership;

/// <summary>
/// Follows who is in the cluster. Calls to a grain that may have been on a silo which is gone should be made anew then: Orleans
/// breaks off those that it knows to be with that silo, but not one that was on its way to it, which ends with its time limit.
/// </summary>
internal sealed partial class MemberChanges(IClusterMembershipService membership, ILogger log) : IDisposable
{
    private CancellationTokenSource _next = new();

    /// <summary>Cancelled when something changes in the table of members.</summary>
    public CancellationToken Next => Volatile.Read(ref _next).Token;

    /// <summary>Calls <paramref name="onChange"/> for what is known now and whenever the table of members changes. Nothing throws out of it.</summary>
    public async Task FollowAsync(Action<ClusterMembershipSnapshot> onChange, CancellationToken stopping)
    {
        try
        {
            await foreach (ClusterMembershipSnapshot snapshot in membership.MembershipUpdates.WithCancellation(stopping).ConfigureAwait(false))
            {
                // First, so that a call which the change brings about goes by the next. Not disposed: somebody may be about to take its token.
                CancellationTokenSource before = Interlocked.Exchange(ref _next, new CancellationTokenSource());
                onChange(snapshot);
                await before.CancelAsync().ConfigureAwait(false);
            }
        }
        catch (Exception exception)
        {
            if (!stopping.IsCancellationRequested)
                LogEnded(log, exception);
        }
    }

    public void Dispose() => _next.Dispose();

    [LoggerMessage(Level = LogLevel.Error, Message = "Membership is not followed any more: deaths of silos are noticed later")]
    private static partial void LogEnded(ILogger logger, Exception exception);
}
