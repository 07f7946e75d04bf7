using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace K2Cluster.Hosting;

/// <summary>"ADDRESS" or "ADDRESS:PORT": IPv4, [IPv6] or localhost. No port means 0.</summary>
internal static class NetworkAddress
{
    public static IPEndPoint? TryParse(string text) =>
        TrySplit(text) is not var (host, port) ? null
        : host.Equals("localhost", StringComparison.OrdinalIgnoreCase) ? new IPEndPoint(IPAddress.Loopback, port)
        : TryParseAddress(host) is { } address ? new IPEndPoint(address, port)
        : null;

    /// <summary>Splits "HOST" or "HOST:PORT"; null when the port is no port or the host is empty.</summary>
    public static (string Host, int Port)? TrySplit(string text)
    {
        int colon = text.LastIndexOf(':');
        bool hasPort = colon >= 0 && !text.EndsWith(']');
        string host = hasPort ? text[..colon] : text;
        if (host.Length is 0 or > 255)
            return null;
        if (!hasPort)
            return (host, 0);
        bool valid = int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port <= IPEndPoint.MaxPort;
        return valid ? (host, port) : null;
    }

    private static IPAddress? TryParseAddress(string host)
    {
        bool bracketed = host.Length > 2 && host[0] == '[' && host[^1] == ']';
        if (!IPAddress.TryParse(bracketed ? host[1..^1] : host, out IPAddress? address))
            return null;

        // IPAddress takes "1" and "0x7f.1" too; nobody means those.
        return address.AddressFamily == AddressFamily.InterNetworkV6 ? bracketed ? address : null
            : address.ToString() == host ? address
            : null;
    }
}
