using Grpc.Net.Client;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests.Processes;

/// <summary>A gateway process, its addresses and clients for them.</summary>
internal sealed class GatewayProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);

    private GatewayProcess(ChildProcess process, Uri http, Uri grpc)
    {
        Process = process;
        GrpcAddress = grpc;
        Http = new HttpClient { BaseAddress = http, Timeout = TimeSpan.FromMinutes(2) };
        Grpc = GrpcChannel.ForAddress(grpc);
    }

    public ChildProcess Process { get; }

    public HttpClient Http { get; }

    public Uri GrpcAddress { get; }

    public GrpcChannel Grpc { get; }

    /// <summary>Starts a gateway and does not wait; at the addresses of one that is gone, where that is given.</summary>
    public static GatewayProcess Start(string model, IReadOnlyList<string> options, IReadOnlyDictionary<string, string>? environment = null, GatewayProcess? inPlaceOf = null)
    {
        Uri http = inPlaceOf?.Http.BaseAddress ?? new Uri($"http://127.0.0.1:{FreePort.Next()}");
        Uri grpc = inPlaceOf?.GrpcAddress ?? new Uri($"http://127.0.0.1:{FreePort.Next()}");
        string[] arguments = ["--model", model, "--http", Address(http), "--grpc", Address(grpc), .. options];
        return new GatewayProcess(Programs.Start("gateway", "K2Cluster.Gateway", arguments, environment), http, grpc);
    }

    public static async Task<GatewayProcess> StartReadyAsync(string model, IReadOnlyList<string> options, IReadOnlyDictionary<string, string>? environment = null)
    {
        GatewayProcess gateway = Start(model, options, environment);
        await gateway.WaitUntilReadyAsync();
        return gateway;
    }

    public Task<string> WaitUntilReadyAsync() => Process.WaitForLineAsync(line => line.StartsWith("K2Cluster gateway ready", StringComparison.Ordinal), StartLimit);

    /// <summary>Whether a GET is answered with a status now.</summary>
    public async Task<bool> AnswersAsync(string path, int status)
    {
        try
        {
            using HttpResponseMessage response = await Http.GetAsync(path);
            return (int)response.StatusCode == status;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        Grpc.Dispose();
        await Process.DisposeAsync();
    }

    private static string Address(Uri uri) => uri.GetLeftPart(UriPartial.Authority);
}
