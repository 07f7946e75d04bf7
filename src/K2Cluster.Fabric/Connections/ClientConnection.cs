using K2Cluster.Fabric.Frames;
using K2Cluster.Fabric.Handshake;

namespace K2Cluster.Fabric.Connections;

/// <summary>The side that asks.</summary>
internal sealed class ClientConnection(string name, FabricSocket socket, FabricLane lane, FabricOptions options, Action onOpened, PongReader onPong) : FabricConnection(name, socket, options)
{
    private CallSlots _slots = new(1, 1);
    private volatile bool _leaves;
    private int _leaveTicks;

    /// <summary>Whether it takes calls.</summary>
    public bool IsReady => IsOpen && !_leaves;

    /// <summary>Sends a call, or keeps it until there is room. Unless Taken, call and payload are the caller's still.</summary>
    public SendOutcome TrySend(FabricCall call, ReadOnlySpan<byte> head, PooledBytes payload, int replyBytes)
    {
        if (!IsReady)
            return SendOutcome.Closed;
        if (_slots.TryAdd(call, this, (long)payload.Length + replyBytes))
        {
            Send(call.Id, head, payload);
            return SendOutcome.Taken;
        }

        SendOutcome outcome = _slots.TryWait(new WaitingCall(call, head.ToArray(), payload, replyBytes));
        if (outcome == SendOutcome.Taken)
        {
            Options.Counts.Waited();
            SendWaiting(); // there may be room since, and nothing in flight whose end would tell
        }

        return outcome;
    }

    /// <summary>Lets go of a call: its answer will be dropped. False when it has ended already.</summary>
    public bool TryAbandon(FabricCall call)
    {
        if (!_slots.TryAbandon(call, out ulong id, out WaitingCall? waiting))
            return false;
        if (waiting is null)
        {
            Writer.TrySend(FrameType.Cancel, id, default, default); // not taken, or before its request: the answer is dropped all the same
            return true;
        }

        waiting.Payload.Return();
        SendWaiting();
        return true;
    }

    /// <summary>Takes no more calls, and ends when those in flight are answered.</summary>
    public void Leave()
    {
        _leaves = true;
        if (IsOpen)
            Writer.TrySend(FrameType.Goodbye, 0, default, default);
        SendWaiting();
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

        _slots = new CallSlots(Math.Min(Options.Slots, welcome.Slots), Math.Min(Options.InFlightBytes, welcome.InFlightBytes));
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
        SendWaiting();
        EndIfLeft();
    }

    protected override void PeerLeaves()
    {
        _leaves = true;
        SendWaiting();
        EndIfLeft();
    }

    protected override void Ponged(ReadOnlySpan<byte> head) => onPong(head);

    protected override void Closed(string reason)
    {
        List<FabricCall> open = _slots.Close(out int inFlight);
        Options.Counts.Answered(inFlight);
        foreach (FabricCall call in open)
            Fail(call, reason);
        FailWaiting(reason);
    }

    private void Send(ulong id, ReadOnlySpan<byte> head, PooledBytes payload)
    {
        Options.Counts.Called();
        if (Writer.TrySend(FrameType.Request, id, head, payload) != SendOutcome.Taken)
            payload.Return(); // the connection is ending, which fails the call
    }

    /// <summary>Sends what waits and has room now. Called after all that makes room: the end of a call, in flight or waiting.</summary>
    private void SendWaiting()
    {
        if (_leaves)
            FailWaiting($"{Name} takes no more calls");
        while (_slots.TryTakeWaiting(out WaitingCall? waiting, out ulong id))
            Send(id, waiting.Head, waiting.Payload);
    }

    private void FailWaiting(string reason)
    {
        foreach (WaitingCall waiting in _slots.TakeAllWaiting())
        {
            waiting.Payload.Return();
            Fail(waiting.Call, reason);
        }
    }

    private static void Fail(FabricCall call, string reason)
    {
        try
        {
            call.Failed(new FabricException(reason));
        }
        catch (Exception)
        {
            // Of what awaited it, which has nowhere else to throw to; the others must hear of their end all the same.
        }
    }

    private void EndIfLeft()
    {
        if (_leaves && IsOpen && _slots.InFlight == 0)
            End(EndKind.Told, $"{Name}: all was answered");
    }
}
