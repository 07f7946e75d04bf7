using K2Cluster.Fabric.Frames;
using K2Cluster.Fabric.Handshake;

namespace K2Cluster.Fabric.Connections;

/// <summary>The side that answers.</summary>
internal sealed class ServerConnection(string name, FabricSocket socket, FabricOptions options, IFabricService service, Action<ServerConnection, string> onClosed) : FabricConnection(name, socket, options)
{
    private readonly FabricRequest?[] _requests = new FabricRequest?[options.Slots];
    private readonly Lock _lock = new();
    private int _open;
    private long _openBytes;

    /// <summary>Who the peer says it is; null before its greeting.</summary>
    public string? PeerName { get; private set; }

    /// <summary>Requests that are being served.</summary>
    public int Open => Volatile.Read(ref _open);

    public void Reply(FabricRequest request, ReadOnlySpan<byte> head, PooledBytes payload)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(head.Length, FrameHeader.MaxHeadLength, nameof(head));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(payload.Length, Options.PayloadBytes, nameof(payload));
        ulong id = Free(request);
        SendOutcome outcome = Writer.TrySend(FrameType.Reply, id, head, payload);
        if (outcome != SendOutcome.Taken)
            payload.Return();
        EndIfFull(outcome);
    }

    public void Refuse(FabricRequest request, string reason) => EndIfFull(SendText(Free(request), reason));

    /// <summary>Says that this end leaves: the client sends nothing more and closes when all is answered.</summary>
    public void Leave()
    {
        if (IsOpen)
            Writer.TrySend(FrameType.Goodbye, 0, default, default);
        else
            End(EndKind.Ours, $"{Options.Name} leaves");
    }

    protected override bool TryGreet()
    {
        if (Options.ServerTls is { } tls)
            Socket.Secure(tls());
        if (!Reader.TryRead(out Frame frame))
            throw new EndOfStreamException();
        if (frame.Header.Type != FrameType.Hello)
            throw new ProtocolException($"a {frame.Header.Type} instead of a hello");
        Greeting hello = Greeting.Read(frame.Head);
        PeerName = hello.Name;
        if (hello.Refusal(Options) is { } refusal)
        {
            End(EndKind.Ours, refusal, tellPeer: true);
            return false;
        }

        Span<byte> head = stackalloc byte[FrameHeader.MaxHeadLength];
        Writer.TrySend(FrameType.Welcome, 0, head[..Greeting.Of(Options, hello.Lane).Write(head)], default);
        return true;
    }

    protected override void Opened()
    {
    }

    protected override void Handle(in Frame frame)
    {
        switch (frame.Header.Type)
        {
            case FrameType.Request:
                Serve(frame);
                break;
            case FrameType.Cancel:
                Cancel(frame.Header.Id);
                break;
            default:
                frame.Payload.Return();
                throw new ProtocolException($"a {frame.Header.Type}, which is not for a server");
        }
    }

    /// <summary>The client closes when all is answered: nothing to do.</summary>
    protected override void PeerLeaves()
    {
    }

    protected override int Progress(Span<byte> head) => service.Progress(head);

    protected override void Closed(string reason)
    {
        lock (_lock)
        {
            foreach (FabricRequest? request in _requests)
                request?.Cancel();
        }

        onClosed(this, reason);
    }

    private void Serve(in Frame frame)
    {
        FabricRequest request;
        try
        {
            request = Begin(frame.Header.Id, frame.Payload.Length);
        }
        catch (ProtocolException)
        {
            frame.Payload.Return();
            throw;
        }

        try
        {
            service.Serve(request, frame.Head, frame.Payload);
        }
        catch (Exception exception)
        {
            Refuse(request, exception.Message);
        }
    }

    private FabricRequest Begin(ulong id, int bytes)
    {
        uint slot = (uint)id;
        if (slot >= (uint)_requests.Length)
            throw new ProtocolException($"request {slot} at once, {_requests.Length} are allowed");
        if (id >> 32 == 0)
            throw new ProtocolException($"a request of id {id:x}");
        lock (_lock)
        {
            FabricRequest request = _requests[slot] ??= new FabricRequest(this);
            if (request.Id != 0)
                throw new ProtocolException($"a second request in slot {slot}, whose first is not answered");
            if (_openBytes > 0 && _openBytes + bytes > Options.InFlightBytes)
                throw new ProtocolException($"{_openBytes + bytes} bytes of requests at once, {Options.InFlightBytes} are allowed");
            request.Begin(id, bytes);
            _open++;
            _openBytes += bytes;
            return request;
        }
    }

    /// <summary>One that was answered meanwhile is no mistake of the client's.</summary>
    private void Cancel(ulong id)
    {
        lock (_lock)
        {
            if ((uint)id < (uint)_requests.Length && _requests[(uint)id] is { } request && request.Id == id && id != 0)
                request.Cancel();
        }
    }

    /// <summary>Frees the request's slot before the answer is sent: the client may use it at once.</summary>
    private ulong Free(FabricRequest request)
    {
        lock (_lock)
        {
            ulong id = request.Id;
            if (id == 0)
                throw new InvalidOperationException("The request was answered already.");
            _openBytes -= request.Bytes;
            _open--;
            request.Free();
            return id;
        }
    }

    private void EndIfFull(SendOutcome outcome)
    {
        if (outcome == SendOutcome.Full)
            End(EndKind.Ours, $"{Name} does not read its replies");
    }
}
