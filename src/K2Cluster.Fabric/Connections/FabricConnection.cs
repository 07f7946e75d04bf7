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

    /// <summary>Whether nothing was heard for so long that the peer may hang.</summary>
    public bool IsSilent => _isOpen && Volatile.Read(ref _unheard) >= _options.SilentAfter;

    /// <summary>Why it ended; null while it goes on.</summary>
    public string? EndReason => Volatile.Read(ref _endReason);

    protected FabricOptions Options => _options;

    protected FabricSocket Socket { get; }

    protected FrameReader Reader { get; }

    protected FrameWriter Writer { get; }

    /// <summary>Greets and reads until the end, on the calling thread. Never throws.</summary>
    public EndKind Run()
    {
        try
        {
            if (TryGreet())
            {
                Reader.MaxPayload = _options.PayloadBytes;
                _isOpen = true;
                Volatile.Write(ref _unheard, 0);
                _options.Counts.Connected();
                try
                {
                    Opened();
                    ReadFrames();
                }
                finally
                {
                    _isOpen = false;
                    _options.Counts.Disconnected();
                }
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

        End(EndKind.Ours, "it was ended");
        Writer.Dispose();
        Socket.Dispose();
        Closed(EndReason!);
        return _endKind;
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
        }

        _isOpen = false;
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
        else if (unheard > _options.AbandonAfter)
        {
            End(EndKind.Ours, $"{Name} was silent for {_options.AbandonAfter} heartbeats");
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

    /// <summary>Called once, on the running thread, after the last frame.</summary>
    protected abstract void Closed(string reason);

    /// <summary>Sends a Refusal; one with a long text is cut.</summary>
    protected SendOutcome SendText(ulong id, string text)
    {
        Span<byte> head = stackalloc byte[FrameHeader.MaxHeadLength];
        Encoding.UTF8.GetEncoder().Convert(text, head, flush: true, out _, out int length, out _);
        return Writer.TrySend(FrameType.Refusal, id, head[..length], default);
    }

    protected static string ReadText(ReadOnlySpan<byte> head) => Encoding.UTF8.GetString(head);

    private void ReadFrames()
    {
        while (Reader.TryRead(out Frame frame))
        {
            Volatile.Write(ref _unheard, 0);
            switch (frame.Header.Type)
            {
                case FrameType.Ping:
                    Writer.TrySend(FrameType.Pong, 0, default, default);
                    break;
                case FrameType.Pong:
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
        bool isLost = exception is null or EndOfStreamException or SocketException or IOException { InnerException: SocketException };
        EndKind kind = wasTold ? EndKind.Told : isLost ? EndKind.Lost : EndKind.Ours;
        End(kind, exception is null or EndOfStreamException ? $"{Name} closed the connection" : $"{Name}: {exception.Message}");
    }
}
