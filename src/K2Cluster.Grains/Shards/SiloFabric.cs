using System.Net;
using System.Net.Sockets;
using K2Cluster.Cluster;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Fabric;
using K2Cluster.Telemetry;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Grains.Shards;

/// <summary>
/// Where this silo takes frames over the fabric: the address of cluster traffic, a free port. A silo that is alone in its
/// process has none, as nobody could ask. Stopping, it says goodbye and answers what is in flight first.
/// </summary>
internal sealed partial class SiloFabric : IHostedService, IDisposable
{
    private static readonly TimeSpan DrainPatience = TimeSpan.FromSeconds(2);

    private readonly ShardFabricService _service = new();
    private readonly FabricListener? _listener;
    private readonly IDisposable? _meter;
    private readonly ILogger _log;

    /// <exception cref="ClusterException">It may not, or cannot, listen there.</exception>
    public SiloFabric(ClusterOptions cluster, ILocalSiloDetails self, TimeProvider time, ILogger<SiloFabric> log, FabricSecurity? security = null)
    {
        (_log, SiloAddress) = (log, self.SiloAddress);
        if (cluster.Mode == ClusterMode.Embedded)
            return;
        IPAddress address = cluster.Listen.Address;
        if (security is null && !cluster.Insecure && !IPAddress.IsLoopback(address))
            throw new ClusterException($"Activations are not taken on {address} without TLS: give certificates, or allow it with --insecure.");

        FabricOptions options = FabricDefaults.Options(cluster, security, time);
        try
        {
            _listener = new FabricListener(new IPEndPoint(address, 0), options, _service, line => LogConnection(_log, line));
        }
        catch (SocketException exception)
        {
            throw new ClusterException($"The fabric cannot listen on {address}: {exception.Message}. Use an address of this machine.", exception);
        }

        _meter = K2Telemetry.Observe(new FabricMeter(options.Counts));
        Endpoint = new IPEndPoint((cluster.Advertise ?? cluster.Listen).Address, _listener.EndPoint.Port).ToString();
    }

    /// <summary>Where gateways reach it; null: not at all.</summary>
    public string? Endpoint { get; }

    /// <summary>Whom membership knows this process as.</summary>
    public SiloAddress SiloAddress { get; }

    /// <summary>From here on frames are computed.</summary>
    public void Serve(ShardSet shards) => _service.Serve(shards);

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_listener is null)
            return;
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(DrainPatience);
        try
        {
            await _listener.DrainAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // What is in flight still is asked again of another shard.
        }
    }

    public void Dispose()
    {
        _listener?.Dispose();
        _meter?.Dispose();
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Fabric: {Line}")]
    private static partial void LogConnection(ILogger logger, string line);
}
