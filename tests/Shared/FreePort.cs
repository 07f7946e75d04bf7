using System.Net;
using System.Net.Sockets;

namespace K2Cluster.Tests;

/// <summary>
/// Ports for servers that must be told theirs. They come from below the range from which kernels choose ports by themselves
/// (Linux: 32768 and up): one from there could be given to somebody else between the choice and its use.
/// </summary>
internal static class FreePort
{
    private const int First = 15_000;
    private const int End = 30_000;

    private static int _next = Random.Shared.Next(First, End);

    public static int Next()
    {
        for (int tried = First; tried < End; tried++)
        {
            int port = First + ((Interlocked.Increment(ref _next) & int.MaxValue) % (End - First));
            try
            {
                using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
                return port;
            }
            catch (SocketException)
            {
                // Somebody's; the next one.
            }
        }

        throw new InvalidOperationException($"No port from {First} to {End} is free.");
    }
}
