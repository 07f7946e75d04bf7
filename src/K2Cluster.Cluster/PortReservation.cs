using System.Net;
using System.Net.Sockets;

namespace K2Cluster.Cluster;

/// <summary>
/// Orleans must know its port before it listens. So a free one is asked of the kernel and kept bound, without listening,
/// until Orleans does: two sockets of .NET (which sets SO_REUSEADDR) may share a port as long as one of them does not listen
/// yet, and meanwhile the kernel gives the port to nobody else. So there is no race that could be lost. Where systems bind
/// exclusively (Windows), the socket is released at once and the usual small window remains.
/// </summary>
internal sealed class PortReservation : IDisposable
{
    private readonly Socket? _held;

    private PortReservation(int port, Socket? held) => (Port, _held) = (port, held);

    public int Port { get; }

    /// <summary>Takes a free port of the address, or checks that the one asked for can be bound.</summary>
    /// <exception cref="ClusterException">The address is not of this machine, or the port is taken.</exception>
    public static PortReservation Take(IPEndPoint endPoint)
    {
        Socket socket = new(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            socket.Bind(endPoint);
            int port = ((IPEndPoint)socket.LocalEndPoint!).Port;
            if (OperatingSystem.IsLinux())
                return new PortReservation(port, socket);
            socket.Dispose();
            return new PortReservation(port, null);
        }
        catch (SocketException exception)
        {
            socket.Dispose();
            throw new ClusterException($"Cluster traffic cannot listen on {endPoint}: {exception.Message}. Use an address of this machine and a free port (0 takes any).", exception);
        }
    }

    public void Dispose() => _held?.Dispose();
}
