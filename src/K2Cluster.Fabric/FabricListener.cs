using System.Net;
using System.Net.Sockets;
using K2Cluster.Fabric.Connections;

namespace K2Cluster.Fabric;

/// <summary>Accepts connections and serves them, each on a thread of its own.</summary>
public sealed class FabricListener : IDisposable
{
    private readonly FabricOptions _options;
    private readonly IFabricService _service;
    private readonly Action<string> _log;
    private readonly Socket _socket;
    private readonly Dictionary<ServerConnection, IPAddress> _connections = [];
    private readonly Lock _lock = new();
    private readonly ManualResetEventSlim _stopping = new();
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITimer _heartbeat;
    private long _accepted;

    /// <param name="endPoint">Where to listen; port 0 takes a free one.</param>
    /// <param name="options">Who this end is, and its limits.</param>
    /// <param name="service">Serves the requests.</param>
    /// <param name="log">Told why a connection ended.</param>
    /// <exception cref="SocketException">The end point cannot be bound.</exception>
    public FabricListener(IPEndPoint endPoint, FabricOptions options, IFabricService service, Action<string>? log = null)
    {
        options.Check();
        (_options, _service, _log) = (options, service, log ?? (static _ => { }));
        _socket = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            _socket.Bind(endPoint);
            _socket.Listen(128);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }

        EndPoint = (IPEndPoint)_socket.LocalEndPoint!;
        new Thread(Accept) { Name = $"k2-fabric {options.Name}", IsBackground = true }.Start();
        _heartbeat = options.Time.CreateTimer(static self => ((FabricListener)self!).Tick(), this, options.Heartbeat, options.Heartbeat);
    }

    /// <summary>Where it listens, the port included.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>Connections at the moment, those in their handshake included.</summary>
    public int Connections
    {
        get
        {
            lock (_lock)
                return _connections.Count;
        }
    }

    /// <summary>Accepts nothing more and says goodbye; done when the clients, all answered, have closed, or at the cancellation.</summary>
    public async Task DrainAsync(CancellationToken cancellationToken)
    {
        Stop();
        foreach (ServerConnection connection in Snapshot())
            connection.Leave();
        DrainedIfEmpty();
        await _drained.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Ends all connections at once.</summary>
    public void Dispose()
    {
        Stop();
        _heartbeat.Dispose();
        foreach (ServerConnection connection in Snapshot())
            connection.End(EndKind.Ours, $"{_options.Name} leaves", tellPeer: true);
    }

    private void Stop()
    {
        _stopping.Set();
        _socket.Dispose();
    }

    private void Accept()
    {
        while (!_stopping.IsSet)
        {
            try
            {
                Take(_socket.Accept());
            }
            catch (Exception exception)
            {
                // A connection that was gone already, or no descriptors left: others may come.
                if (!_stopping.IsSet)
                    _log($"A connection was not accepted: {exception.Message}");
                _stopping.Wait(TimeSpan.FromMilliseconds(20));
            }
        }
    }

    private void Take(Socket socket)
    {
        ServerConnection? connection = null;
        try
        {
            connection = Add(socket);
            if (connection is not null)
                new Thread(() => connection.Run()) { Name = $"k2-fabric-read {connection.Name}", IsBackground = true }.Start();
        }
        catch (Exception exception)
        {
            // Its peer may have gone already; or there is no memory, or no thread, for it.
            if (connection is null)
                socket.Dispose();
            else
                connection.Close(exception.Message);
            throw;
        }
    }

    private ServerConnection? Add(Socket socket)
    {
        IPEndPoint from = (IPEndPoint)socket.RemoteEndPoint!;
        string? refusal;
        lock (_lock)
        {
            refusal = _stopping.IsSet ? "this end leaves" : Refusal(from.Address);
            if (refusal is null)
            {
                ServerConnection connection = new($"peer {++_accepted} at {from}", new FabricSocket(socket), _options, _service, Remove);
                _connections.Add(connection, from.Address);
                return connection;
            }
        }

        socket.Dispose();
        if (!_stopping.IsSet)
            _log($"A connection from {from} was closed: {refusal}.");
        return null;
    }

    /// <summary>Why a connection from an address would be one too many; null when it would not.</summary>
    private string? Refusal(IPAddress address)
    {
        int open = 0;
        int same = 0;
        foreach ((ServerConnection connection, IPAddress from) in _connections)
        {
            if (connection.IsOpen)
                open++;
            else if (from.Equals(address))
                same++;
        }

        return open >= _options.MaxConnections ? $"there are {open} already"
            : _connections.Count - open >= _options.MaxHandshakes ? $"{_options.MaxHandshakes} others have not greeted yet"
            : same >= _options.MaxHandshakesPerAddress ? $"{same} others from there have not greeted yet"
            : null;
    }

    private void Remove(ServerConnection connection, string reason)
    {
        lock (_lock)
            _connections.Remove(connection);
        if (!_stopping.IsSet)
            _log(connection.PeerName is { } name ? $"{name}: {reason}" : reason);
        DrainedIfEmpty();
    }

    private void DrainedIfEmpty()
    {
        if (_stopping.IsSet && Connections == 0)
            _drained.TrySetResult();
    }

    private void Tick()
    {
        foreach (ServerConnection connection in Snapshot())
            connection.Tick();
    }

    private ServerConnection[] Snapshot()
    {
        lock (_lock)
            return [.. _connections.Keys];
    }
}
