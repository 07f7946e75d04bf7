using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>Straight to a shard in this process: to its device worker or, where it computes here, to its device.</summary>
internal sealed class InProcessChannel(ShardId shard, ILocalShard local) : IExpertChannel
{
    private int _inFlight;

    public ShardId Shard => shard;

    public int InFlight => Volatile.Read(ref _inFlight);

    public bool ComputesHere => local.ComputesHere;

    public string? Compute(ExpertBatch batch, Span<PairStatus> pairs) => local.Compute(batch, pairs);

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
