using Grpc.Net.Client;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Client.Internal;

/// <summary>The gateways, and which of them answered last.</summary>
internal sealed class GatewaySet(IReadOnlyList<Inference.InferenceClient> clients, IReadOnlyList<IDisposable>? connections = null) : IDisposable
{
    private int _current;

    public int Count => clients.Count;

    /// <summary>Where new work goes.</summary>
    public int Current => Volatile.Read(ref _current);

    public Inference.InferenceClient this[int index] => clients[index];

    public static GatewaySet Connect(IReadOnlyList<Uri> addresses, K2ClientOptions options)
    {
        if (addresses.Count == 0)
            throw new ArgumentException("At least one gateway is needed.", nameof(addresses));
        if (addresses.FirstOrDefault(address => !address.IsAbsoluteUri || address.Scheme is not ("http" or "https")) is { } wrong)
            throw new ArgumentException($"{wrong} is not the address of a gateway, like http://127.0.0.1:8081.", nameof(addresses));
        List<IDisposable> connections = [];
        List<Inference.InferenceClient> clients = [];
        foreach (Uri address in addresses)
        {
            SocketsHttpHandler handler = new()
            {
                ConnectTimeout = options.ConnectTimeout,
                KeepAlivePingDelay = options.PingInterval,
                KeepAlivePingTimeout = options.PingInterval,
                KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
                EnableMultipleHttp2Connections = true,
            };
            GrpcChannel channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
            connections.Add(channel);
            clients.Add(new Inference.InferenceClient(channel));
        }

        return new GatewaySet(clients, connections);
    }

    /// <summary>One did not do: new work goes to the next, unless somebody else has found that already.</summary>
    public void Leave(int index) => Interlocked.CompareExchange(ref _current, (index + 1) % Count, index);

    public void Dispose()
    {
        foreach (IDisposable connection in connections ?? [])
            connection.Dispose();
    }
}
