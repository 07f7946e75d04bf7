using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>Straight to a shard in this process: to its device worker or, where it computes here, to its device.</summary>
internal sealed class InProcessChannel(ShardId shard, ILocalShard local) : IExpertChannel
{
    private int _pairsInFlight;

    public ShardId Shard => shard;

    public int PairsInFlight => Volatile.Read(ref _pairsInFlight);

    public bool ComputesHere => local.ComputesHere;

    public string? Compute(ExpertBatch batch, Span<PairStatus> pairs) => local.Compute(batch, pairs);

    public void Suspect(int expert, bool isSure) => local.Suspect(expert, isSure);

    public async ValueTask<ExpertReply> SubmitAsync(ExpertFrame frame, CancellationToken cancellationToken)
    {
        int pairs = frame.Pairs;
        Interlocked.Add(ref _pairsInFlight, pairs);
        try
        {
            return await local.ForwardAsync(frame, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Add(ref _pairsInFlight, -pairs);
        }
    }
}
