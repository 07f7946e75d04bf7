using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// How long a batch waits for its open pairs, whose expert is missing or only on shards that fail: as long as it is patient, less
/// what others have waited for the same already. And when it asks shards again that have failed it.
/// </summary>
internal sealed class BatchPatience(DispatchPairs pairs, BatchRoutes routes, DispatchOptions options, TimeProvider time)
{
    private TimeSpan _backoff;
    private long _retryAt;
    private long _firstFailure;

    /// <summary>A new batch begins.</summary>
    public void Begin() => (_backoff, _retryAt, _firstFailure) = (options.FirstBackoff, 0, 0);

    /// <summary>Other routes: what failed need not be waited for.</summary>
    public void ForgetRetry() => _retryAt = 0;

    /// <summary>Whether shards that failed are asked again now; once for each <see cref="RetryLater"/>.</summary>
    public bool TakeRetry(long now)
    {
        if (_retryAt == 0 || now < _retryAt)
            return false;
        _retryAt = 0;
        return true;
    }

    /// <summary>Pairs wait for a shard that failed: it is asked again after a while, twice as long each time.</summary>
    public void RetryLater(long now)
    {
        if (_retryAt != 0)
            return;
        _retryAt = now + time.Units(_backoff);
        TimeSpan next = _backoff * 2;
        _backoff = next < options.LongestBackoff ? next : options.LongestBackoff;
    }

    /// <summary>Gives up the open pairs that have been waited for long enough.</summary>
    /// <returns>How long to wait at most before this is asked again.</returns>
    public TimeSpan Wait(ExpertBatch batch, long now)
    {
        _firstFailure = _firstFailure == 0 ? now : _firstFailure;
        TimeSpan left = options.Patience - time.GetElapsedTime(_firstFailure, now);
        TimeSpan others = GiveUpOpen(batch, now);
        left = others < left ? others : left;
        if (left <= TimeSpan.Zero)
        {
            pairs.Finish(PairStatus.NotHeld, openOnly: true);
            left = TimeSpan.MaxValue;
        }

        TimeSpan retry = _retryAt == 0 ? TimeSpan.MaxValue : time.GetElapsedTime(now, Math.Max(_retryAt, now));
        return retry < left ? retry : left;
    }

    private TimeSpan GiveUpOpen(ExpertBatch batch, long now)
    {
        if (routes.Table is not { } table)
            return options.Patience;
        TimeSpan longest = TimeSpan.Zero;
        for (int pair = 0; pair < pairs.Count; pair++)
        {
            if (!pairs.IsOpen(pair))
                continue;

            // The best of its shards counts; one that was not tried under this plan has all the time.
            ReadOnlySpan<int> replicas = table.Plan.ReplicasOf(routes.Index(batch, pair));
            long since = replicas.IsEmpty ? table.MissingSince : long.MinValue;
            foreach (int shard in replicas)
                since = Math.Max(since, routes.FailedSince(shard) is not 0 and var failed ? failed : now);
            TimeSpan left = options.Patience - time.GetElapsedTime(since, now);
            if (left <= TimeSpan.Zero)
                pairs.Set(pair, PairStatus.NotHeld);
            longest = left > longest ? left : longest;
        }

        return longest;
    }
}
