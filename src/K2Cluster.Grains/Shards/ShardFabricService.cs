using K2Cluster.Contracts;
using K2Cluster.Contracts.Wire;
using K2Cluster.Fabric;

namespace K2Cluster.Grains.Shards;

/// <summary>
/// Hands frames of the fabric to the shards of this process: from the thread that reads a connection straight to a device's
/// queue, and the reply from the device's thread straight to the connection. No grain's turn, no thread of the pool.
/// </summary>
internal sealed class ShardFabricService : IFabricService
{
    private ShardSet? _shards;

    /// <summary>From here on frames are computed; before, they find no shard.</summary>
    public void Serve(ShardSet shards) => Volatile.Write(ref _shards, shards);

    public void Serve(FabricRequest request, ReadOnlySpan<byte> head, PooledBytes payload)
    {
        Receiver receiver = (Receiver)(request.State ??= new Receiver(request));
        ExpertFrame frame;
        try
        {
            frame = ExpertFrameHead.Read(head, payload.Length);
        }
        catch (FrameFormatException exception)
        {
            payload.Return();
            receiver.Complete(new ExpertReply { Status = ReplyStatus.Malformed, Pairs = 0, HiddenSize = 0, Problem = exception.Message });
            return;
        }

        frame.Adopt(payload.Array, payload.Length);
        if (Volatile.Read(ref _shards)?.TryGetLife(frame.Incarnation, out ExpertShard? shard) == true)
        {
            shard!.Forward(frame, receiver);
            return;
        }

        frame.Dispose();
        receiver.Complete(new ExpertReply { Status = ReplyStatus.WrongIncarnation, Pairs = 0, HiddenSize = 0 });
    }

    public int Progress(Span<byte> head)
    {
        int length = 0;
        foreach (ExpertShard shard in Volatile.Read(ref _shards)?.All ?? [])
        {
            if (head.Length - length < ShardProgress.Length)
                break;
            DevicePace pace = shard.Pace;
            int milliseconds = (int)Math.Clamp(pace.Running?.TotalMilliseconds ?? 0, 0, int.MaxValue);
            new ShardProgress(shard.Identity.Incarnation, milliseconds, pace.IsHung).Write(head[length..]);
            length += ShardProgress.Length;
        }

        return length;
    }

    /// <summary>One for each slot of a connection, request after request.</summary>
    private sealed class Receiver(FabricRequest request) : IForwardReceiver
    {
        public bool IsCancelled => request.IsCancelled;

        /// <summary>Touches nothing after the reply, which may bring the next request of the slot.</summary>
        public void Complete(ExpertReply reply)
        {
            Span<byte> head = stackalloc byte[ExpertReplyHead.MaxLength];
            int length = ExpertReplyHead.Write(head, reply);
            PooledBytes payload = reply.Detach() is { } buffer ? new PooledBytes(buffer, reply.Length) : default;
            request.Reply(head[..length], payload);
        }

        public void Fail(Exception exception) => request.Refuse(exception.Message);
    }
}
