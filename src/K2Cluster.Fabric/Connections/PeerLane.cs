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
    private readonly PongReader _onPong;
    private readonly Action _onLeft;
    private readonly object _gate = new();
    private ClientConnection? _connection;
    private Socket? _dialling;
    private int _dialTicks;
    private volatile bool _isLost;
    private volatile bool _wasSilent;
    private bool _isStarted;
    private bool _wasLost;
    private bool _isLeaving;

    /// <param name="name">Of the peer.</param>
    /// <param name="endPoint">Where it listens.</param>
    /// <param name="lane">Which lane.</param>
    /// <param name="options">Who this end is, and its limits.</param>
    /// <param name="onOpened">Called when a connection is past its handshake.</param>
    /// <param name="onEnded">Told why an attempt or a connection ended.</param>
    /// <param name="onRefused">Told when a connection was lost and the next one refused: nobody listens there any more.</param>
    /// <param name="onPong">Given the answers to heartbeats.</param>
    /// <param name="onLeft">Called once after <see cref="Leave"/>, when nothing of the lane is left that needs a tick.</param>
    public PeerLane(string name, IPEndPoint endPoint, FabricLane lane, FabricOptions options, Action onOpened, Action<string> onEnded, Action<string> onRefused, PongReader onPong, Action onLeft)
    {
        (_name, _endPoint, _lane, _options) = (name, endPoint, lane, options);
        (_onOpened, _onEnded, _onRefused, _onPong, _onLeft) = (onOpened, onEnded, onRefused, onPong, onLeft);
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

    /// <summary>Whether a connection was lost without a word, and the attempt to make another has not told yet whether the peer is there.</summary>
    public bool IsLost => Volatile.Read(ref _connection) is { IsLost: true } || _isLost; // in this order: set before the connection is forgotten

    /// <summary>Whether nothing was heard for a while, on a connection that is there or on the last one.</summary>
    public bool IsSilent => Volatile.Read(ref _connection) is { IsSilent: true } || _wasSilent; // in this order, as above

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
            if (_isLeaving)
                return;
            _isLeaving = true;
            _dialling?.Dispose();
            Monitor.PulseAll(_gate);
        }

        Volatile.Read(ref _connection)?.Leave();
        if (!_isStarted)
            _onLeft();
    }

    /// <summary>Starts the thread, once.</summary>
    private void Start()
    {
        try
        {
            lock (_gate)
            {
                if (_isStarted || _isLeaving)
                    return;
                new Thread(Run) { Name = $"k2-fabric {_name} {_lane}", IsBackground = true }.Start();
                _isStarted = true;
            }
        }
        catch (Exception exception)
        {
            _onEnded($"No thread for {_name}: {exception.Message}"); // the next call tries again
        }
    }

    private void Run()
    {
        TimeSpan wait = TimeSpan.Zero;
        while (!Leaves(wait))
        {
            bool hasStood = false;
            try
            {
                if (TryDial() is { } socket)
                    hasStood = Serve(socket);
            }
            catch (Exception exception)
            {
                // No memory or threads left: later there may be, and nothing above on this stack would catch it.
                (_wasLost, _isLost) = (false, false);
                _onEnded($"{_name} at {_endPoint} cannot be reached: {exception.Message}");
            }

            if (hasStood)
                wait = TimeSpan.Zero;
            if (!hasStood || !_wasLost)
                wait = wait == TimeSpan.Zero ? _options.FirstRedial : wait * 2 < _options.LongestRedial ? wait * 2 : _options.LongestRedial;
        }

        _onLeft();
    }

    /// <summary>Runs a connection until it ends. Whether it stood for so long that the next attempt need not wait.</summary>
    private bool Serve(FabricSocket socket)
    {
        long opened = 0;
        bool again = _wasLost;
        ClientConnection connection;
        try
        {
            connection = new ClientConnection(_name, socket, _lane, _options, () =>
            {
                opened = _options.Time.GetTimestamp();
                _isLost = false;
                _wasSilent = false;
                if (again)
                    _options.Counts.Redialled();
                _onOpened();
            }, _onPong);
        }
        catch
        {
            socket.Dispose();
            throw;
        }

        Volatile.Write(ref _connection, connection);
        if (Leaves(TimeSpan.Zero))
            connection.Leave();
        EndKind end = connection.Run();

        // One lost within its greeting may be a dying process that still accepts: what was lost before is lost still.
        _wasLost = end == EndKind.Lost && (_wasLost || opened != 0);
        _isLost = _wasLost;
        _wasSilent |= connection.IsSilent;
        Volatile.Write(ref _connection, null);
        _onEnded(connection.EndReason!);
        return opened != 0 && _options.Time.GetElapsedTime(opened) > _options.LongestRedial;
    }

    /// <summary>Connects; null when it cannot, and then who wants to know has been told.</summary>
    private FabricSocket? TryDial()
    {
        Socket? socket = null;
        SocketError error;
        try
        {
            socket = new Socket(_endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            lock (_gate)
                (_dialling, _dialTicks) = (socket, 0);
            socket.Connect(_endPoint);
            lock (_gate)
                _dialling = null;
            return new FabricSocket(socket);
        }
        catch (Exception exception)
        {
            lock (_gate)
                _dialling = null;
            socket?.Dispose();
            if (exception is not (SocketException or ObjectDisposedException))
                throw;
            error = exception is SocketException failure ? failure.SocketErrorCode : SocketError.TimedOut;
        }

        _onEnded($"{_name} at {_endPoint} cannot be reached: {error}");
        if (_wasLost && error == SocketError.ConnectionRefused && !Leaves(TimeSpan.Zero))
            _onRefused($"its connection was lost, and {_endPoint} refuses a new one");

        // What else an attempt may end with says something of the network or this host: a later refusal proves nothing then.
        _wasLost = false;
        _isLost = false; // after the word that it is gone: nothing is sent another way in between
        return null;
    }

    /// <summary>Waits, and says whether the lane is to end.</summary>
    private bool Leaves(TimeSpan wait)
    {
        lock (_gate)
            return _isLeaving || (wait > TimeSpan.Zero && Monitor.Wait(_gate, wait) && _isLeaving);
    }
}
