using System.Net;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Wire;
using K2Cluster.Fabric;
using K2Cluster.Telemetry;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// Over the fabric. A frame for which there is no connection just now goes by a grain call; one to a silo that is gone or
/// silent, or to a device that hangs, goes nowhere, as a grain call would wait there as well; and so does one whose connection
/// was lost a moment ago: a grain call to a process that was killed waits until membership knows of it (0.95 s were seen),
/// while the next connection is there or refused within a few milliseconds. A frame for which there is no room in flight waits
/// in the fabric: by grain calls, the very load that its bounds hold back would come before Orleans' own messages.
/// </summary>
internal sealed class FabricChannel : IExpertChannel, IDisposable
{
    /// <summary>Most bytes, both ways, of what goes by the lane that somebody waits for: 80 µs of a 100 Gbit/s line.</summary>
    private const int DecodeBytes = 1 << 20;

    private readonly PlannedShard _shard;
    private readonly FabricPeers _peers;
    private readonly IPEndPoint _endPoint;
    private readonly SiloPeer _peer;
    private readonly IExpertChannel _fallback;
    private readonly Lock _lock = new();
    private readonly Stack<Call> _unused = [];
    private int _pairsInFlight;

    /// <param name="shard">Whose end point is <paramref name="endPoint"/>.</param>
    /// <param name="endPoint">Where its silo listens.</param>
    /// <param name="peers">Have the connections.</param>
    /// <param name="fallback">The way by grain calls.</param>
    public FabricChannel(PlannedShard shard, IPEndPoint endPoint, FabricPeers peers, IExpertChannel fallback)
    {
        (_shard, _endPoint, _peers, _fallback) = (shard, endPoint, peers, fallback);
        _peer = peers.Rent(shard.Id.Silo, endPoint, shard.SiloAddress);
    }

    public ShardId Shard => _shard.Id;

    public int PairsInFlight => Volatile.Read(ref _pairsInFlight) + _fallback.PairsInFlight;

    public bool IsSilent => WhySilent() is not null;

    public ValueTask<ExpertReply> SubmitAsync(ExpertFrame frame, CancellationToken cancellationToken)
    {
        if (WhySilent() is { } reason)
        {
            frame.Dispose();
            return ValueTask.FromException<ExpertReply>(new ShardUnavailableException(Shard, reason));
        }

        int replyBytes = ExpertReply.PayloadLength(frame.Pairs, frame.HiddenSize);
        int length = frame.Length;
        Span<byte> head = stackalloc byte[ExpertFrameHead.Length];
        ExpertFrameHead.Write(head, frame);
        PooledBytes payload = new(frame.Detach()!, length);
        Call call = Take(frame.Pairs);
        FabricLane lane = length + replyBytes <= DecodeBytes ? FabricLane.Decode : FabricLane.Bulk;
        SendOutcome outcome = _peer.TrySend(lane, call, head, payload, replyBytes, cancellationToken, out ValueTask<ExpertReply> reply);
        if (outcome == SendOutcome.Taken)
            return reply;

        Put(call);
        frame.Adopt(payload.Array, length);
        if (outcome == SendOutcome.Lost)
        {
            frame.Dispose();
            return ValueTask.FromException<ExpertReply>(new ShardUnavailableException(Shard, "its connection was lost a moment ago"));
        }

        if (outcome == SendOutcome.Full)
        {
            frame.Dispose();
            return ValueTask.FromResult(new ExpertReply { Status = ReplyStatus.Busy, Pairs = 0, HiddenSize = frame.HiddenSize });
        }

        K2Telemetry.FabricFallbacks.Add(1);
        return _fallback.SubmitAsync(frame, cancellationToken);
    }

    public void Suspect(int expert, bool isSure) => _fallback.Suspect(expert, isSure);

    /// <summary>What is in flight is answered yet.</summary>
    public void Dispose() => _peers.Return(_endPoint, _shard.SiloAddress);

    private string? WhySilent() =>
        _peer.IsGone ? "its process is gone"
        : _peer.IsSilent ? "its silo does not answer heartbeats"
        : _peer.IsHung(_shard.Incarnation) ? "its device hangs"
        : null;

    private Call Take(int pairs)
    {
        Interlocked.Add(ref _pairsInFlight, pairs);
        Call? call;
        lock (_lock)
            _unused.TryPop(out call);
        call ??= new Call(this);
        call.Pairs = pairs;
        return call;
    }

    private void Put(Call call)
    {
        Interlocked.Add(ref _pairsInFlight, -call.Pairs);
        lock (_lock)
            _unused.Push(call);
    }

    /// <summary>A call of this channel, used again and again.</summary>
    private sealed class Call(FabricChannel channel) : FabricCall<ExpertReply>
    {
        /// <summary>Of the frame that it carries.</summary>
        public int Pairs { get; set; }

        protected override ExpertReply Read(ReadOnlySpan<byte> head, PooledBytes payload)
        {
            try
            {
                ExpertReply reply = ExpertReplyHead.Read(head, payload.Length);
                reply.Adopt(payload.Array, payload.Length);
                return reply;
            }
            catch (FrameFormatException exception)
            {
                payload.Return();
                throw new ShardUnavailableException(channel.Shard, exception.Message, exception);
            }
        }

        protected override Exception ToException(FabricException exception) => new ShardUnavailableException(channel.Shard, exception.Message, exception);

        protected override void Release() => channel.Put(this);
    }
}
