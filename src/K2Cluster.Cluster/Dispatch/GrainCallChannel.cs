using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>By a grain call: the fallback of the fabric.</summary>
internal sealed class GrainCallChannel(ShardId shard, IExpertShardGrain grain) : IExpertChannel
{
    private int _pairsInFlight;

    public ShardId Shard => shard;

    public int PairsInFlight => Volatile.Read(ref _pairsInFlight);

    public void Suspect(int expert, bool isSure) => grain.SuspectAsync(expert, isSure).AsTask().Ignore();

    public async ValueTask<ExpertReply> SubmitAsync(ExpertFrame frame, CancellationToken cancellationToken)
    {
        int pairs = frame.Pairs;
        Interlocked.Add(ref _pairsInFlight, pairs);
        try
        {
            ExpertReply reply = await grain.ForwardAsync(frame, cancellationToken).ConfigureAwait(false);

            // Answered, so it was sent. After a failure Orleans may still hold the frame in a queue: the collector takes it then.
            frame.Dispose();
            return reply;
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            throw new ShardUnavailableException(shard, exception.Message, exception);
        }
        finally
        {
            Interlocked.Add(ref _pairsInFlight, -pairs);
        }
    }
}
