using System.Diagnostics;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;

namespace K2Cluster.Cli;

/// <summary>A plain blocking echo: what the fabric is measured by. One thread sends and receives, another answers.</summary>
internal sealed class EchoWay : IBenchWay
{
    private readonly byte[] _out;
    private readonly byte[] _in;
    private readonly Socket _client = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly SslStream? _tls;
    private readonly Thread _server;

    public EchoWay(int bytes, BenchCertificate? certificate)
    {
        (_out, _in) = (new byte[bytes], new byte[bytes]);
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        _client.Connect(listener.LocalEndPoint!);
        Socket accepted = listener.Accept();
        accepted.NoDelay = true;
        _server = new Thread(() => Serve(accepted, bytes, certificate)) { IsBackground = true, Name = "k2-bench-echo" };
        _server.Start();
        if (certificate is not null)
        {
            _tls = new SslStream(new NetworkStream(_client));
            _tls.AuthenticateAsClient(certificate.Client());
        }
    }

    public void Run(long[] ticks)
    {
        for (int call = 0; call < ticks.Length; call++)
        {
            long sent = Stopwatch.GetTimestamp();
            Write(_client, _tls, _out);
            if (!TryFill(_client, _tls, _in))
                throw new CommandException("The bench lost its connection.");
            ticks[call] = Stopwatch.GetTimestamp() - sent;
        }
    }

    public void Dispose()
    {
        _client.Dispose(); // before the TLS stream, which would wait for the other end's goodbye
        _tls?.Dispose();
        _server.Join();
    }

    private static void Serve(Socket socket, int bytes, BenchCertificate? certificate)
    {
        try
        {
            using (socket)
            {
                using SslStream? tls = certificate is null ? null : new SslStream(new NetworkStream(socket));
                tls?.AuthenticateAsServer(certificate!.Server());
                byte[] buffer = new byte[bytes];
                while (TryFill(socket, tls, buffer))
                    Write(socket, tls, buffer);
            }
        }
        catch (Exception exception) when (exception is SocketException or IOException)
        {
            // The client has gone; who measures sees it there.
        }
    }

    private static void Write(Socket socket, SslStream? tls, ReadOnlySpan<byte> bytes)
    {
        if (tls is not null)
        {
            tls.Write(bytes);
            return;
        }

        while (bytes.Length > 0)
            bytes = bytes[socket.Send(bytes)..];
    }

    private static bool TryFill(Socket socket, SslStream? tls, Span<byte> bytes)
    {
        while (bytes.Length > 0)
        {
            int count = tls is null ? socket.Receive(bytes) : tls.Read(bytes);
            if (count == 0)
                return false;
            bytes = bytes[count..];
        }

        return true;
    }
}
