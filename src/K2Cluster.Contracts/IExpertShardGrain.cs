namespace K2Cluster.Contracts;

/// <summary>Owns a set of experts on one device; key: <see cref="ShardId"/>. Placed on the silo of that name and never elsewhere.</summary>
[Alias("k2.IExpertShardGrain")]
public interface IExpertShardGrain : IGrainWithStringKey
{
    /// <summary>Computes the pairs of a frame. The reply says for each pair what became of it.</summary>
    [Alias("Forward")]
    ValueTask<ExpertReply> ForwardAsync(ExpertFrame frame, CancellationToken cancellationToken);

    /// <summary>Sets what the shard is to hold and returns what it holds now; loading goes on in the background. Idempotent.</summary>
    [Alias("Assign")]
    ValueTask<ShardReport> AssignAsync(ShardAssignment assignment);

    /// <summary>
    /// A gateway got no finite numbers for an expert (index of the grid) here: it is dropped and loaded anew, once a minute at most.
    /// </summary>
    /// <param name="expert">Index of the grid.</param>
    /// <param name="isSure">Whether another replica gave finite numbers for the same input, so that the input is not to blame.</param>
    [Alias("Suspect")]
    ValueTask SuspectAsync(int expert, bool isSure);
}
