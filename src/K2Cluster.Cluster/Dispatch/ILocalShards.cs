using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

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

    /// <summary>
    /// Whether its device computes on the very threads that compute for the callers in this process. Then a thread of its own
    /// would only be in their way: a batch is best computed by who waits for it, with <see cref="Compute"/>.
    /// </summary>
    bool ComputesHere { get; }

    /// <summary>Computes a batch on the calling thread, straight from and into its buffers. Nothing is allocated.</summary>
    /// <param name="batch">Any batch of the model; what the shard cannot take of it stays open.</param>
    /// <param name="pairs">[rows × experts per token], in: all Pending; out: Done, Failed, NotHeld or, where it is not for this shard to say, Pending.</param>
    /// <returns>Why pairs failed; null when none did.</returns>
    string? Compute(ExpertBatch batch, Span<PairStatus> pairs);

    /// <summary>It gave no finite numbers for an expert (index of the grid): it loads it anew, if it has not done so lately.</summary>
    /// <param name="expert">Index of the grid.</param>
    /// <param name="isSure">Whether another replica gave finite numbers for the same input.</param>
    void Suspect(int expert, bool isSure);
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
