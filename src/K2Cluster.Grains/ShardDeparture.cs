using K2Cluster.Cluster;
using K2Cluster.Contracts;
using K2Cluster.Grains.Shards;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Grains;

/// <summary>How the shards of this process leave their cluster without anybody missing them.</summary>
public sealed partial class ShardDeparture
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(3);

    private readonly ShardSet _shards;
    private readonly Func<CancellationToken, Task<int?>> _countHomeless;
    private readonly TimeProvider _time;
    private readonly ILogger _log;

    internal ShardDeparture(ShardSet shards, ClusterOptions cluster, IGrainFactory grains, TimeProvider time, ILogger log)
        : this(shards, cancellation => grains.GetGrain<IPlacementGrain>(cluster.ClusterId).CountHomelessAsync(cluster.SiloName).AsTask().WaitAsync(CallTimeout, time, cancellation), time, log)
    {
    }

    internal ShardDeparture(ShardSet shards, Func<CancellationToken, Task<int?>> countHomeless, TimeProvider time, ILogger log) =>
        (_shards, _countHomeless, _time, _log) = (shards, countHomeless, time, log);

    /// <summary>
    /// Says that the shards leave, serves on, and ends when all their experts are held elsewhere and every gateway knows; or at
    /// once when the others have no room for all of them, as then nobody gains by waiting.
    /// </summary>
    public async Task LeaveAsync(CancellationToken cancellationToken)
    {
        foreach (ExpertShard shard in _shards.All)
            shard.Leave();
        using PeriodicTimer timer = new(Interval, _time);
        while (_shards.All.Any(shard => shard.Report.Held.Length > 0))
        {
            if (await TryCountHomelessAsync(cancellationToken).ConfigureAwait(false) is { } homeless and > 0)
            {
                LogHomeless(_log, homeless);
                return;
            }

            await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false);
        }

        LogGone(_log);
    }

    /// <summary>Null also while the placement grain is away, as when it moves: it will be back.</summary>
    private async Task<int?> TryCountHomelessAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _countHomeless(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            LogCountFailed(_log, exception.Message);
            return null;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The experts of this silo are held by others now")]
    private static partial void LogGone(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "No other silo has room for {Homeless} of the experts here: they are gone until this silo is back or another one starts")]
    private static partial void LogHomeless(ILogger logger, int homeless);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The placement grain did not say whether the others have room; trying again: {Reason}")]
    private static partial void LogCountFailed(ILogger logger, string reason);
}
