using System.Net.Sockets;
using Grpc.Core;
using Grpc.Net.Client;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Cli;

/// <summary>The gateways of a cluster, of which any answers for all of it: asked in turn until one does.</summary>
internal sealed class GatewayConnection(IReadOnlyList<Uri> addresses, Func<Uri, Admin.AdminClient> connect) : IClusterConnection
{
    private static readonly TimeSpan CallLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    private readonly Admin.AdminClient?[] _clients = new Admin.AdminClient?[addresses.Count];
    private int _current;

    public static Admin.AdminClient Connect(Uri address) => new(GrpcChannel.ForAddress(address, new GrpcChannelOptions
    {
        HttpHandler = new SocketsHttpHandler { ConnectTimeout = ConnectTimeout },
        DisposeHttpClient = true,
        MaxReceiveMessageSize = 64 << 20, // a plan of a large model
    }));

    public ValueTask DisposeAsync() => ValueTask.CompletedTask; // channels end with the tool

    public async Task<T> AskAsync<T>(Func<Admin.AdminClient, CallOptions, AsyncUnaryCall<T>> ask, CancellationToken cancellation, bool isChange = false)
    {
        for (int tries = 1; ; tries++)
        {
            int index = _current;
            try
            {
                Admin.AdminClient client = _clients[index] ??= connect(addresses[index]);
                return await ask(client, new CallOptions(deadline: DateTime.UtcNow + CallLimit, cancellationToken: cancellation)).ResponseAsync;
            }
            catch (RpcException failure) when (!cancellation.IsCancellationRequested)
            {
                if (failure.StatusCode is not (StatusCode.Unavailable or StatusCode.DeadlineExceeded))
                    throw new CommandException(Explain(failure));
                if (isChange && !IsUnheard(failure))
                    throw new CommandException($"The gateway at {addresses[index]} did not tell what came of the change ({TerminalText.Of(failure.Status.Detail)}). It may be in force all the same: k2 cluster status, and k2 cluster explain LAYER EXPERT, say so. Ask for it again only if it is not.");
                _current = (index + 1) % addresses.Count;
                if (tries >= addresses.Count)
                    throw new CommandException(Explain(failure));
            }
        }
    }

    /// <summary>Whether there was not even a connection on which it could have been sent.</summary>
    private static bool IsUnheard(RpcException failure) =>
        failure.Status.DebugException is HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError };

    private string Explain(RpcException failure)
    {
        string all = string.Join(", ", addresses);
        return failure switch
        {
            { Status.DebugException: HttpRequestException or SocketException or IOException } =>
                $"No gateway answers at {all} ({TerminalText.Of(failure.Status.DebugException.Message)}). Give the gRPC address of one that runs with --url, or start one: dotnet run -c Release --project gateway -- --model DIR --cluster localhost, or as the others of the cluster are started. The silos go on without one, and answer to --direct.",
            { StatusCode: StatusCode.Unimplemented } =>
                $"The gateway at {all} is older than this tool: it knows no administration. Ask one that is newer, or restart it with the new version.",
            { StatusCode: StatusCode.Unavailable or StatusCode.DeadlineExceeded } =>
                $"{TerminalText.Of(failure.Status.Detail)} Asked {all}; try again in some seconds, and see the log of the silos if it stays so.",
            _ => TerminalText.Of(failure.Status.Detail),
        };
    }
}
