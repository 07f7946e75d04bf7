using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>Straight to the device worker of a shard in this process.</summary>
internal sealed class InProcessChannel(ShardId shard, ILocalShard local) : IExpertChannel
{
    private int _inFlight;

    public ShardId Shard => shard;

    public int InFlight => Volatile.Read(ref _inFlight);

    public async ValueTask<ExpertReply> SubmitAsync(ExpertFrame frame, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _inFlight);
        try
        {
            return await local.ForwardAsync(frame, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _inFlight);
        }
    }
}
