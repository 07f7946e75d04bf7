using K2Cluster.Fabric.Frames;
using K2Cluster.Fabric.Handshake;

namespace K2Cluster.Fabric.Connections;

/// <summary>The side that asks.</summary>
internal sealed class ClientConnection(string name, FabricSocket socket, FabricLane lane, FabricOptions options, Action onOpened) : FabricConnection(name, socket, options)
{
    private CallSlots _slots = new(1);
    private volatile bool _leaves;
    private int _leaveTicks;

    /// <summary>Whether it takes calls.</summary>
    public bool IsReady => IsOpen && !_leaves;

    /// <summary>Sends a call. Unless Taken, call and payload are the caller's still.</summary>
    public SendOutcome TrySend(FabricCall call, ReadOnlySpan<byte> head, PooledBytes payload)
    {
        if (!IsReady)
            return SendOutcome.Closed;
        if (!_slots.TryAdd(call, this))
            return IsOpen ? SendOutcome.Full : SendOutcome.Closed;
        Options.Counts.Called();
        ulong id = call.Id;
        SendOutcome outcome = Writer.TrySend(FrameType.Request, id, head, payload);
        if (outcome == SendOutcome.Taken)
            return outcome;
        if (_slots.TryRemove(call, id))
        {
            Options.Counts.Answered(1);
            EndIfLeft();
            return outcome;
        }

        // The end of the connection has failed the call already.
        payload.Return();
        return SendOutcome.Taken;
    }

    /// <summary>Lets go of a call: its answer will be dropped. False when it has ended already.</summary>
    public bool TryAbandon(FabricCall call, ulong id)
    {
        if (!_slots.TryAbandon(call, id))
            return false;
        Writer.TrySend(FrameType.Cancel, id, default, default); // not taken: the answer is dropped all the same
        return true;
    }

    /// <summary>Takes no more calls, and ends when those in flight are answered.</summary>
    public void Leave()
    {
        _leaves = true;
        if (IsOpen)
            Writer.TrySend(FrameType.Goodbye, 0, default, default);
        EndIfLeft();
    }

    public override void Tick()
    {
        if (_leaves && ++_leaveTicks > Options.AbandonAfter)
            End(EndKind.Ours, $"{Name} did not answer what was in flight");
        base.Tick();
    }

    protected override bool TryGreet()
    {
        if (Options.ClientTls is { } tls)
            Socket.Secure(tls());
        Span<byte> head = stackalloc byte[FrameHeader.MaxHeadLength];
        Writer.TrySend(FrameType.Hello, 0, head[..Greeting.Of(Options, lane).Write(head)], default);
        if (!Reader.TryRead(out Frame frame))
            throw new EndOfStreamException();
        if (frame.Header.Type == FrameType.Refusal)
        {
            End(EndKind.Told, $"{Name} refused the connection: {ReadText(frame.Head)}");
            return false;
        }

        if (frame.Header.Type != FrameType.Welcome)
            throw new ProtocolException($"a {frame.Header.Type} instead of a welcome");
        Greeting welcome = Greeting.Read(frame.Head);
        if (welcome.Refusal(Options) is { } refusal)
        {
            End(EndKind.Ours, refusal, tellPeer: true);
            return false;
        }

        _slots = new CallSlots(Math.Min(Options.Slots, welcome.Slots));
        return true;
    }

    protected override void Opened()
    {
        if (_leaves)
            Leave(); // told so while it greeted
        else
            onOpened();
    }

    protected override void Handle(in Frame frame)
    {
        FrameType type = frame.Header.Type;
        if (type is not (FrameType.Reply or FrameType.Refusal))
        {
            frame.Payload.Return();
            throw new ProtocolException($"a {type}, which is not for a client");
        }

        if (!_slots.TryAnswer(frame.Header.Id, out FabricCall? call))
        {
            frame.Payload.Return();
            throw new ProtocolException($"a {type} to request {frame.Header.Id:x}, which is not in flight");
        }

        Options.Counts.Answered(1);
        if (call is null)
            frame.Payload.Return();
        else if (type == FrameType.Reply)
            call.Answered(frame.Head, frame.Payload);
        else
            call.Failed(new FabricException($"{Name}: {ReadText(frame.Head)}"));
        EndIfLeft();
    }

    protected override void PeerLeaves()
    {
        _leaves = true;
        EndIfLeft();
    }

    protected override void Closed(string reason)
    {
        List<FabricCall> open = _slots.Close(out int inFlight);
        Options.Counts.Answered(inFlight);
        foreach (FabricCall call in open)
        {
            try
            {
                call.Failed(new FabricException(reason));
            }
            catch (Exception)
            {
                // Of what awaited it, which has nowhere else to throw to; the others must hear of the end all the same.
            }
        }
    }

    private void EndIfLeft()
    {
        if (_leaves && IsOpen && _slots.InFlight == 0)
            End(EndKind.Told, $"{Name}: all was answered");
    }
}
