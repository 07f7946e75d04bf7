using K2Cluster.Grains;
using K2Cluster.Hosting;

namespace K2Cluster.Embedding;

/// <summary>A silo is ready when the cluster knows its shards and they hold the experts that are theirs.</summary>
internal sealed class ShardReadiness(ShardStatus shards, TimeProvider time) : IReadiness
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(25);

    public bool IsReady => shards.NotReadyReason is null;

    public string Reason => shards.NotReadyReason ?? shards.Summary;

    public async Task WaitAsync(CancellationToken cancellation)
    {
        using PeriodicTimer timer = new(Interval, time);
        while (!IsReady)
            await timer.WaitForNextTickAsync(cancellation).ConfigureAwait(false);
    }
}
