using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using K2Cluster.Fabric.Frames;

namespace K2Cluster.Fabric.Connections;

/// <summary>
/// One connection, either side: greets, then reads frames on the one thread that runs it until it ends. Whatever a peer
/// sends ends the connection at worst.
/// </summary>
internal abstract class FabricConnection
{
    private readonly FabricOptions _options;
    private readonly Lock _ending = new();
    private string? _endReason;
    private EndKind _endKind;
    private bool _isEnded;
    private int _unheard;
    private volatile bool _isOpen;
    private volatile bool _isLost;
    private volatile bool _endedSilent;

    protected FabricConnection(string name, FabricSocket socket, FabricOptions options)
    {
        (Name, Socket, _options) = (name, socket, options);
        Reader = new FrameReader(socket, options.Counts);
        Writer = new FrameWriter(name, socket, options, exception => Fail(exception));
    }

    /// <summary>What it is called, for threads and messages.</summary>
    public string Name { get; }

    /// <summary>Whether it is past its handshake and not ended.</summary>
    public bool IsOpen => _isOpen;

    /// <summary>Whether nothing was heard for so long that the peer may hang, also when it was ended for that.</summary>
    public bool IsSilent => _endedSilent || (_isOpen && Volatile.Read(ref _unheard) >= _options.SilentAfter);

    /// <summary>Whether it was open and ended without a word: the peer may be dead. Known before its calls fail.</summary>
    public bool IsLost => _isLost;

    /// <summary>Why it ended; null while it goes on.</summary>
    public string? EndReason => Volatile.Read(ref _endReason);

    protected FabricOptions Options => _options;

    protected FabricSocket Socket { get; }

    protected FrameReader Reader { get; }

    protected FrameWriter Writer { get; }

    /// <summary>Greets and reads until the end, on the calling thread. Never throws.</summary>
    public EndKind Run()
    {
        bool wasOpen = false;
        try
        {
            if (TryGreet() && TryOpen())
            {
                wasOpen = true;
                Reader.MaxPayload = _options.PayloadBytes;
                Volatile.Write(ref _unheard, 0);
                _options.Counts.Connected();
                Opened();
                ReadFrames();
            }
        }
        catch (ProtocolException exception)
        {
            End(EndKind.Ours, $"{Name} sent {exception.Message}", tellPeer: true);
        }
        catch (Exception exception)
        {
            Fail(exception);
        }

        Close("it was ended");
        if (wasOpen)
            _options.Counts.Disconnected();
        return _endKind;
    }

    /// <summary>Ends it where that was not done, and frees what it has. Called instead of <see cref="Run"/> where there is no thread for that.</summary>
    public void Close(string reason)
    {
        End(EndKind.Ours, reason);
        Writer.Dispose();
        Socket.Dispose();
        Closed(EndReason!);
    }

    /// <summary>Ends it with a reason, from any thread; the first one counts.</summary>
    public void End(EndKind kind, string reason, bool tellPeer = false)
    {
        lock (_ending)
        {
            if (_isEnded)
                return;
            _isEnded = true;
            _endKind = kind;
            Volatile.Write(ref _endReason, reason);
            _isLost = kind == EndKind.Lost && _isOpen; // before it takes no more: a call that finds it closed asks why
            _isOpen = false;
        }

        if (tellPeer)
            SendText(0, reason);
        Socket.Abort();
    }

    /// <summary>A heartbeat: asks a peer that was not heard for a sign, and ends what waits for too long.</summary>
    public virtual void Tick()
    {
        int unheard = Interlocked.Increment(ref _unheard);
        if (!_isOpen)
        {
            if (unheard > _options.HandshakeLimit)
                End(EndKind.Ours, $"{Name} did not greet within {_options.HandshakeLimit} heartbeats");
        }
        else if (unheard > _options.RenewAfter)
        {
            _endedSilent = true;
            End(EndKind.Ours, $"{Name} was silent for {_options.RenewAfter} heartbeats");
        }
        else
        {
            Writer.TrySend(FrameType.Ping, 0, default, default);
        }
    }

    /// <summary>Exchanges greetings. False when the connection was ended instead.</summary>
    protected abstract bool TryGreet();

    protected abstract void Opened();

    /// <summary>Takes a frame that is not for the connection itself, with its payload.</summary>
    /// <exception cref="ProtocolException">It is not allowed on this side, or now.</exception>
    protected abstract void Handle(in Frame frame);

    /// <summary>The peer begins nothing new.</summary>
    protected abstract void PeerLeaves();

    /// <summary>Writes what this end says of itself in answer to a heartbeat, and returns its length.</summary>
    protected virtual int Progress(Span<byte> head) => 0;

    /// <summary>Takes what the peer says of itself.</summary>
    protected virtual void Ponged(ReadOnlySpan<byte> head)
    {
    }

    /// <summary>Called once, after the last frame.</summary>
    protected abstract void Closed(string reason);

    /// <summary>Sends a Refusal; one with a long text is cut.</summary>
    protected SendOutcome SendText(ulong id, string text)
    {
        Span<byte> head = stackalloc byte[FrameHeader.MaxHeadLength];
        Encoding.UTF8.GetEncoder().Convert(text, head, flush: true, out _, out int length, out _);
        return Writer.TrySend(FrameType.Refusal, id, head[..length], default);
    }

    protected static string ReadText(ReadOnlySpan<byte> head) => Encoding.UTF8.GetString(head);

    /// <summary>Whether what ended a stream (null: its end) came from the peer's host, as when its process dies. What the network or this host brings about does not.</summary>
    internal static bool IsLoss(Exception? exception) => exception switch
    {
        null or EndOfStreamException => true,
        IOException { InnerException: SocketException inner } => IsLoss(inner),
        SocketException socket => socket.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown, // the latter is EPIPE
        _ => false,
    };

    /// <summary>False when it was ended meanwhile.</summary>
    private bool TryOpen()
    {
        lock (_ending)
            return _isOpen = !_isEnded;
    }

    private void ReadFrames()
    {
        Span<byte> pong = stackalloc byte[FrameHeader.MaxHeadLength];
        while (Reader.TryRead(out Frame frame))
        {
            Volatile.Write(ref _unheard, 0);
            switch (frame.Header.Type)
            {
                case FrameType.Ping:
                    Writer.TrySend(FrameType.Pong, 0, pong[..Progress(pong)], default);
                    break;
                case FrameType.Pong:
                    Ponged(frame.Head);
                    break;
                case FrameType.Goodbye:
                    lock (_ending)
                        _endKind = EndKind.Told;
                    PeerLeaves();
                    break;
                case FrameType.Refusal when frame.Header.Id == 0:
                    End(EndKind.Told, $"{Name} ended the connection: {ReadText(frame.Head)}");
                    return;
                default:
                    Handle(frame);
                    break;
            }
        }

        EndOfStream(null);
    }

    private void Fail(Exception exception)
    {
        if (exception is SocketException or IOException or ObjectDisposedException or AuthenticationException)
            EndOfStream(exception);
        else
            End(EndKind.Ours, $"{Name}: {exception.Message}"); // ours or a handler's; the process goes on
    }

    private void EndOfStream(Exception? exception)
    {
        bool wasTold;
        lock (_ending)
            wasTold = _endKind == EndKind.Told;
        EndKind kind = wasTold ? EndKind.Told : IsLoss(exception) ? EndKind.Lost : EndKind.Ours;
        End(kind, exception is null or EndOfStreamException ? $"{Name} closed the connection" : $"{Name}: {exception.Message}");
    }
}
