using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// The dispatcher's way to one shard: in process, over the fabric, or by a grain call. Submitting starts the call; the
/// returned task is its ticket. Several may be in flight; each has a bounded life.
/// </summary>
public interface IExpertChannel
{
    ShardId Shard { get; }

    /// <summary>(row, expert) pairs of the calls that were submitted and are not answered.</summary>
    int PairsInFlight { get; }

    /// <summary>Whether the other side has not given a sign of life for seconds: it, its device or the network hangs, or its process is gone. What is asked of it may never be answered.</summary>
    bool IsSilent => false;

    /// <summary>
    /// Sends a frame, which belongs to the channel from here on, and returns the reply, which belongs to the caller. Who awaits it may
    /// be called on the thread that all answers come by, so it must be short.
    /// </summary>
    /// <exception cref="ShardUnavailableException">The shard cannot be reached: dead, unknown, or past the time limit.</exception>
    ValueTask<ExpertReply> SubmitAsync(ExpertFrame frame, CancellationToken cancellationToken);

    /// <summary>Tells the shard that it gave no finite numbers for an expert, as <see cref="ILocalShard.Suspect"/>. Waits for nothing; where the word is lost, the next one follows.</summary>
    void Suspect(int expert, bool isSure);

    /// <summary>As <see cref="ILocalShard.ComputesHere"/>; false for what is reached over a wire.</summary>
    bool ComputesHere => false;

    /// <summary>As <see cref="ILocalShard.Compute"/>; only where <see cref="ComputesHere"/> says so.</summary>
    string? Compute(ExpertBatch batch, Span<PairStatus> pairs) => throw new NotSupportedException($"Shard {Shard} does not compute on its caller's threads.");
}

/// <summary>A shard that cannot be reached just now. Its rows are tried elsewhere, or again under a newer plan.</summary>
public sealed class ShardUnavailableException(ShardId shard, string reason, Exception? inner = null) : Exception($"Shard {shard} cannot be reached: {reason}", inner)
{
    public ShardId Shard { get; } = shard;
}
