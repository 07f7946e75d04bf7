using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>A frame in flight to a shard (an index of the plan): pairs [Start, Start + Count) of the frame plan's order.</summary>
internal readonly record struct ShardCall(int Shard, int Start, int Count, long Sent, CancellationTokenSource Cancellation, ValueTask<ExpertReply> Reply)
{
    /// <summary>Waits for the answer. A call that is given up is cancelled; the others of its batch have sources of their own.</summary>
    /// <exception cref="TimeoutException">It did not come within <paramref name="limit"/>.</exception>
    public async ValueTask<ExpertReply> WaitAsync(TimeSpan limit, TimeProvider time, CancellationToken cancellationToken)
    {
        if (Reply.IsCompleted)
            return await Reply.ConfigureAwait(false);

        Task<ExpertReply> task = Reply.AsTask();
        try
        {
            return await task.WaitAsync(limit > TimeSpan.Zero ? limit : TimeSpan.Zero, time, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception)
        {
            // The batch goes on without it, whatever the channel does; nothing of the late reply may reach the batch.
            _ = task.ContinueWith(static late => late.Result.Dispose(), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion, TaskScheduler.Default);
            _ = task.ContinueWith(static late => late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
            await Cancellation.CancelAsync().ConfigureAwait(false);
            throw;
        }
    }
}
