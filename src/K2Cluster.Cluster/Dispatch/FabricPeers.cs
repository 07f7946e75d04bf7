using System.Net;
using K2Cluster.Fabric;
using K2Cluster.Telemetry;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// The fabric to all silos: one peer for each, as long as a channel uses it. When a silo's process is gone, which the fabric
/// sees first, membership is told: a connection was reset and the next one refused, never less, as a wrong word kills a healthy silo.
/// </summary>
internal sealed partial class FabricPeers : IDisposable
{
    private readonly FabricOptions _options;
    private readonly IClusterMembershipService _membership;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly Dictionary<(IPEndPoint EndPoint, SiloAddress? Silo), (SiloPeer Peer, int Leases)> _peers = [];
    private readonly IDisposable _meter;

    public FabricPeers(ClusterOptions cluster, IClusterMembershipService membership, TimeProvider time, ILogger<FabricPeers> log, FabricSecurity? security = null)
    {
        (_options, _membership, _log) = (FabricDefaults.Options(cluster, security, time), membership, log);
        _meter = K2Telemetry.Observe(new FabricMeter(_options.Counts));
    }

    /// <summary>What all of them have done.</summary>
    public FabricCounts Counts => _options.Counts;

    /// <summary>The peer at an end point, to be given back with <see cref="Return"/>.</summary>
    public SiloPeer Rent(string name, IPEndPoint endPoint, SiloAddress? silo)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue((endPoint, silo), out (SiloPeer Peer, int Leases) known))
                known = (new SiloPeer(name, endPoint, _options, reason => OnGone(name, silo, reason), line => LogConnection(_log, name, line)), 0);
            _peers[(endPoint, silo)] = (known.Peer, known.Leases + 1);
            return known.Peer;
        }
    }

    public void Return(IPEndPoint endPoint, SiloAddress? silo)
    {
        lock (_lock)
        {
            if (!_peers.TryGetValue((endPoint, silo), out (SiloPeer Peer, int Leases) known))
                return;
            if (known.Leases > 1)
            {
                _peers[(endPoint, silo)] = (known.Peer, known.Leases - 1);
                return;
            }

            _peers.Remove((endPoint, silo));
            known.Peer.Dispose();
        }
    }

    public void Dispose()
    {
        _meter.Dispose();
        lock (_lock)
        {
            foreach ((SiloPeer peer, _) in _peers.Values)
                peer.Dispose();
            _peers.Clear();
        }
    }

    private void OnGone(string name, SiloAddress? silo, string reason)
    {
        LogGone(_log, name, silo, reason);
        if (silo is not null)
            _ = KillAsync(silo); // not awaited: the thread is the connection's
    }

    private async Task KillAsync(SiloAddress silo)
    {
        try
        {
            if (_membership.CurrentSnapshot.GetSiloStatus(silo) != SiloStatus.Dead)
                await _membership.TryKill(silo).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            LogNotKilled(_log, silo, exception.Message); // its probes find it, later
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The fabric to silo {Name}: {Line}")]
    private static partial void LogConnection(ILogger logger, string name, string line);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The process of silo {Name} ({Silo}) is gone: {Reason}")]
    private static partial void LogGone(ILogger logger, string name, SiloAddress? silo, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Membership could not be told that {Silo} is dead: {Reason}")]
    private static partial void LogNotKilled(ILogger logger, SiloAddress silo, string reason);
}
