using Grpc.Core;
using Grpc.Net.Client;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Faults.Traffic;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Faults.Hosts;

/// <summary>A gateway process and a client of it that tries nothing again.</summary>
internal sealed class Gateway : IAsyncDisposable
{
    private static readonly TimeSpan SettledAfter = TimeSpan.FromMinutes(3);

    private readonly GrpcChannel _channel;
    private readonly Inference.InferenceClient _client;

    public Gateway(ChildProcess process, Uri http, Uri grpc)
    {
        (Process, Grpc) = (process, grpc);
        Http = new HttpClient { BaseAddress = http, Timeout = TimeSpan.FromMinutes(5) };
        _channel = GrpcChannel.ForAddress(grpc);
        _client = new Inference.InferenceClient(_channel);
        Admin = new Admin.AdminClient(_channel);
    }

    public ChildProcess Process { get; }

    public Uri Grpc { get; }

    public HttpClient Http { get; }

    public Admin.AdminClient Admin { get; }

    public async Task<StreamedAnswer> AskAsync(GenerateRequest request)
    {
        using AsyncServerStreamingCall<GenerateEvent> call = _client.Generate(request);
        return await StreamedAnswer.ReadAsync(call.ResponseStream.ReadAllAsync());
    }

    /// <summary>Waits until so many shards hold what they are to hold and nothing else.</summary>
    public async Task<ClusterStatus> WaitUntilSettledAsync(int shards)
    {
        ClusterStatus status = new();
        await Eventually.TrueAsync(
            SettledAfter,
            async () =>
            {
                try
                {
                    status = await Admin.GetStatusAsync(new GetStatusRequest());
                }
                catch (RpcException exception) when (exception.StatusCode == StatusCode.Unavailable)
                {
                    return false; // the placement is on its way to another silo
                }

                return status.Incomplete.Length == 0 && status.Shards.Count == shards && status.Shards.All(shard => shard.Loading == 0 && shard.Held == shard.Owned + shard.Replicas);
            },
            () => $"The experts did not come to rest: {status}");
        return status;
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        _channel.Dispose();
        await Process.DisposeAsync();
    }
}
