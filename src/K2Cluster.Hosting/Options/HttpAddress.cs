using System.Net;

namespace K2Cluster.Hosting;

/// <summary>Where a process serves HTTP or gRPC: "http://127.0.0.1:8080". Port 0 takes a free one.</summary>
public sealed record HttpAddress(IPEndPoint EndPoint)
{
    internal const string Allowed = "http://ADDRESS:PORT with an IP address or localhost, such as http://127.0.0.1:8080 (port 0: any free one)";

    public bool IsLoopback => IPAddress.IsLoopback(EndPoint.Address);

    public override string ToString() => $"http://{EndPoint}";

    internal static HttpAddress? TryParse(string text)
    {
        // Uri would take "http://1:8080" for 0.0.0.1 and add port 80: take the text apart here.
        const string scheme = "http://";
        if (!text.StartsWith(scheme, StringComparison.OrdinalIgnoreCase))
            return null;
        string rest = text[scheme.Length..].TrimEnd('/');
        return NetworkAddress.TryParse(rest) is { } address && rest.Contains(':') && !rest.EndsWith(']') ? new HttpAddress(address) : null;
    }
}
