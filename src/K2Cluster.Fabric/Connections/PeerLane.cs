using System.Net;
using System.Net.Sockets;

namespace K2Cluster.Fabric.Connections;

/// <summary>One lane to a peer: a thread that connects when the lane is first used, reads, and connects again when that ends.</summary>
internal sealed class PeerLane
{
    private readonly string _name;
    private readonly IPEndPoint _endPoint;
    private readonly FabricLane _lane;
    private readonly FabricOptions _options;
    private readonly Action<string> _onRefused;
    private readonly Action<string> _onEnded;
    private readonly Action _onOpened;
    private readonly object _gate = new();
    private ClientConnection? _connection;
    private Socket? _dialling;
    private int _dialTicks;
    private bool _isStarted;
    private bool _isLeaving;

    /// <param name="name">Of the peer.</param>
    /// <param name="endPoint">Where it listens.</param>
    /// <param name="lane">Which lane.</param>
    /// <param name="options">Who this end is, and its limits.</param>
    /// <param name="onOpened">Called when a connection is past its handshake.</param>
    /// <param name="onEnded">Told why an attempt or a connection ended.</param>
    /// <param name="onRefused">Told when a connection was lost and the next one refused: nobody listens there any more.</param>
    public PeerLane(string name, IPEndPoint endPoint, FabricLane lane, FabricOptions options, Action onOpened, Action<string> onEnded, Action<string> onRefused)
    {
        (_name, _endPoint, _lane, _options) = (name, endPoint, lane, options);
        (_onOpened, _onEnded, _onRefused) = (onOpened, onEnded, onRefused);
    }

    /// <summary>The connection that takes calls; null while there is none, and then one is made in the background.</summary>
    public ClientConnection? Ready
    {
        get
        {
            ClientConnection? connection = Volatile.Read(ref _connection);
            if (connection is { IsReady: true })
                return connection;
            Start();
            return null;
        }
    }

    public bool IsSilent => Volatile.Read(ref _connection) is { IsSilent: true };

    public void Tick()
    {
        Volatile.Read(ref _connection)?.Tick();
        lock (_gate)
        {
            // Disposing is what ends a blocking connect.
            if (_dialling is not null && ++_dialTicks > _options.HandshakeLimit)
                _dialling.Dispose();
        }
    }

    /// <summary>Sends no more, and ends when what is in flight is answered.</summary>
    public void Leave()
    {
        lock (_gate)
        {
            _isLeaving = true;
            _dialling?.Dispose();
            Monitor.PulseAll(_gate);
        }

        Volatile.Read(ref _connection)?.Leave();
    }

    /// <summary>Starts the thread, once.</summary>
    private void Start()
    {
        lock (_gate)
        {
            if (_isStarted || _isLeaving)
                return;
            _isStarted = true;
        }

        new Thread(Run) { Name = $"k2-fabric {_name} {_lane}", IsBackground = true }.Start();
    }

    private void Run()
    {
        bool wasLost = false;
        TimeSpan wait = TimeSpan.Zero;
        while (!Leaves(wait))
        {
            if (TryDial(out SocketError error) is { } socket)
            {
                long opened = 0;
                bool again = wasLost;
                ClientConnection connection = new(_name, socket, _lane, _options, () =>
                {
                    opened = _options.Time.GetTimestamp();
                    if (again)
                        _options.Counts.Redialled();
                    _onOpened();
                });
                Volatile.Write(ref _connection, connection);
                if (Leaves(TimeSpan.Zero))
                    connection.Leave();
                EndKind end = connection.Run();
                Volatile.Write(ref _connection, null);
                _onEnded(connection.EndReason!);

                // One lost within its greeting may be a dying process that still accepts: what was lost before is lost still.
                wasLost = end == EndKind.Lost && (wasLost || opened != 0);
                if (opened != 0 && _options.Time.GetElapsedTime(opened) > _options.LongestRedial)
                {
                    wait = TimeSpan.Zero;
                    if (wasLost)
                        continue;
                }
            }
            else
            {
                _onEnded($"{_name} at {_endPoint} cannot be reached: {error}");
                if (wasLost && error == SocketError.ConnectionRefused && !Leaves(TimeSpan.Zero))
                {
                    wasLost = false;
                    _onRefused($"its connection was lost, and {_endPoint} refuses a new one");
                }
            }

            wait = wait == TimeSpan.Zero ? _options.FirstRedial : wait * 2 < _options.LongestRedial ? wait * 2 : _options.LongestRedial;
        }
    }

    /// <summary>Waits, and says whether the lane is to end.</summary>
    private bool Leaves(TimeSpan wait)
    {
        lock (_gate)
            return _isLeaving || (wait > TimeSpan.Zero && Monitor.Wait(_gate, wait) && _isLeaving);
    }

    private FabricSocket? TryDial(out SocketError error)
    {
        Socket socket = new(_endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        lock (_gate)
            (_dialling, _dialTicks) = (socket, 0);
        try
        {
            socket.Connect(_endPoint);
            lock (_gate)
                _dialling = null;
            error = SocketError.Success;
            return new FabricSocket(socket);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            lock (_gate)
                _dialling = null;
            socket.Dispose();
            error = exception is SocketException failure ? failure.SocketErrorCode : SocketError.TimedOut;
            return null;
        }
    }
}
