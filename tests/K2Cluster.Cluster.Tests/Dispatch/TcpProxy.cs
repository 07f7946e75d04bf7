using System.Net;
using System.Net.Sockets;

namespace K2Cluster.Cluster.Tests.Dispatch;

/// <summary>Stands between two ends as a network, or a process, that fails.</summary>
internal sealed class TcpProxy : IDisposable
{
    private readonly IPEndPoint _target;
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly List<Socket> _sockets = [];
    private readonly ManualResetEventSlim _flows = new(true);

    public TcpProxy(IPEndPoint target)
    {
        _target = target;
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen();
        EndPoint = (IPEndPoint)_listener.LocalEndPoint!;
        new Thread(Accept) { IsBackground = true }.Start();
    }

    public IPEndPoint EndPoint { get; }

    /// <summary>Changes what the target sends, in place.</summary>
    public Action<Span<byte>>? Change { get; set; }

    /// <summary>Holds back all that is sent.</summary>
    public void Freeze() => _flows.Reset();

    public void Thaw() => _flows.Set();

    /// <summary>Resets all connections, as a process that dies does; others may be made.</summary>
    public void Reset()
    {
        lock (_sockets)
        {
            foreach (Socket socket in _sockets)
            {
                socket.LingerState = new LingerOption(true, 0);
                socket.Close();
            }

            _sockets.Clear();
        }
    }

    /// <summary>Nobody listens any more, and all connections are reset.</summary>
    public void Kill()
    {
        _listener.Dispose();
        Reset();
    }

    public void Dispose()
    {
        Thaw();
        Kill();
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                Socket client = _listener.Accept();
                Socket server = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                client.NoDelay = true;
                lock (_sockets)
                    _sockets.AddRange([client, server]);
                server.Connect(_target);
                new Thread(() => Pump(client, server, changes: false)) { IsBackground = true }.Start();
                new Thread(() => Pump(server, client, changes: true)) { IsBackground = true }.Start();
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Killed.
        }
    }

    private void Pump(Socket from, Socket to, bool changes)
    {
        byte[] buffer = new byte[64 << 10];
        try
        {
            while (from.Receive(buffer) is > 0 and int count)
            {
                _flows.Wait();
                if (changes)
                    Change?.Invoke(buffer.AsSpan(0, count));
                for (int sent = 0; sent < count;)
                    sent += to.Send(buffer.AsSpan(sent, count - sent));
            }

            to.Shutdown(SocketShutdown.Both);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Reset.
        }
    }
}
