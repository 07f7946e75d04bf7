using System.Net.Security;
using System.Net.Sockets;

namespace K2Cluster.Fabric;

/// <summary>
/// A connected TCP socket, with TLS or without, used by blocking calls only: after one asynchronous call .NET keeps a socket
/// non-blocking and emulates the blocking ones over its epoll thread, which costs a thread switch a message.
/// </summary>
internal sealed class FabricSocket : IDisposable
{
    /// <summary>Asked for, so that "writable" says how much room there is; what the kernel grants may be less.</summary>
    private const int SendBuffer = 512 << 10;

    private readonly Socket _socket;
    private SslStream? _tls;

    public FabricSocket(Socket socket)
    {
        _socket = socket;
        socket.NoDelay = true;
        socket.SendBufferSize = SendBuffer;

        // Linux calls a socket writable when a third of its buffer is free, and counts its bookkeeping with the bytes.
        SafeWriteBytes = socket.SendBufferSize / 6;
    }

    /// <summary>What a write surely does not wait for when <see cref="CanWrite"/>.</summary>
    public int SafeWriteBytes { get; }

    public bool CanWrite => _socket.Poll(0, SelectMode.SelectWrite);

    public void Secure(SslClientAuthenticationOptions options)
    {
        _tls = new SslStream(new NetworkStream(_socket));
        _tls.AuthenticateAsClient(options);
    }

    public void Secure(SslServerAuthenticationOptions options)
    {
        _tls = new SslStream(new NetworkStream(_socket));
        _tls.AuthenticateAsServer(options);
    }

    /// <summary>Waits for bytes; 0 when the peer ends the stream. By one thread at a time.</summary>
    public int Read(Span<byte> bytes) => _tls is null ? _socket.Receive(bytes) : _tls.Read(bytes);

    /// <summary>Writes all of it, waiting where there is no room. By one thread at a time.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        if (_tls is not null)
        {
            _tls.Write(bytes);
            return;
        }

        while (bytes.Length > 0)
            bytes = bytes[_socket.Send(bytes)..];
    }

    /// <summary>Wakes whoever reads or writes, and what they do fails. From any thread, any number of times.</summary>
    public void Abort()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // It is closed, or never was connected.
        }
    }

    public void Dispose()
    {
        _tls?.Dispose();
        _socket.Dispose();
    }
}
