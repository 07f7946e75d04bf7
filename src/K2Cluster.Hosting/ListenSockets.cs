using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace K2Cluster.Hosting;

/// <summary>
/// The sockets that Kestrel will listen on, bound before anything else happens: a port that is taken ends the start at once
/// rather than after a model was loaded, and no free port chosen later, as Orleans' is, can be one of them.
/// </summary>
internal sealed class ListenSockets : IDisposable
{
    private readonly List<(IPEndPoint Asked, Socket Socket)> _bound = [];

    /// <exception cref="K2FailureException">An address is not of this machine, or its port is taken.</exception>
    public static ListenSockets Bind(params IEnumerable<HttpAddress> addresses)
    {
        ListenSockets sockets = new();
        try
        {
            foreach (HttpAddress address in addresses)
                sockets._bound.Add((address.EndPoint, Bind(address)));
        }
        catch
        {
            sockets.Dispose();
            throw;
        }

        return sockets;
    }

    /// <summary>Gives a socket away, once; Kestrel asks for them in the order in which it was told its addresses.</summary>
    public Socket Take(EndPoint asked)
    {
        int index = _bound.FindIndex(one => one.Asked.Equals(asked));
        if (index < 0)
            throw new InvalidOperationException($"Nothing is bound to {asked}.");
        Socket socket = _bound[index].Socket;
        _bound.RemoveAt(index);
        return socket;
    }

    /// <summary>Closes those that nobody took.</summary>
    public void Dispose()
    {
        foreach ((_, Socket socket) in _bound)
            socket.Dispose();
        _bound.Clear();
    }

    private static Socket Bind(HttpAddress address)
    {
        try
        {
            return SocketTransportOptions.CreateDefaultBoundListenSocket(address.EndPoint);
        }
        catch (SocketException exception)
        {
            throw new K2FailureException($"Cannot listen on {address}: {exception.Message}. Use an address of this machine and a free port (0 takes any).", exception);
        }
    }
}
