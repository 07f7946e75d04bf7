using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>The shards of this process: what stands behind a shard's grain, reached without Orleans.</summary>
public interface ILocalShards
{
    bool TryGet(ShardId shard, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out ILocalShard? local);
}

/// <summary>A shard of this process.</summary>
public interface ILocalShard
{
    /// <summary>Computes a frame, which belongs to the shard from here on. Returns at once; the reply belongs to the caller.</summary>
    ValueTask<ExpertReply> ForwardAsync(ExpertFrame frame, CancellationToken cancellationToken);
}

/// <summary>A process without shards.</summary>
internal sealed class NoLocalShards : ILocalShards
{
    public bool TryGet(ShardId shard, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out ILocalShard? local)
    {
        local = null;
        return false;
    }
}
