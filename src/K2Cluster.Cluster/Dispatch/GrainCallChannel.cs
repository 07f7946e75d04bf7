using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>By a grain call: the first way between processes, and the fallback of faster ones.</summary>
internal sealed class GrainCallChannel(ShardId shard, IExpertShardGrain grain) : IExpertChannel
{
    private int _inFlight;

    public ShardId Shard => shard;

    public int InFlight => Volatile.Read(ref _inFlight);

    public async ValueTask<ExpertReply> SubmitAsync(ExpertFrame frame, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _inFlight);
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
            Interlocked.Decrement(ref _inFlight);
        }
    }
}
