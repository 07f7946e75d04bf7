using K2Cluster.Cluster.Placement;
using K2Cluster.Contracts;
using Orleans.Concurrency;
using Orleans.Placement;

namespace K2Cluster.Grains.Shards;

/// <summary>The shard of this silo that the key names, for whoever is in another process.</summary>
[Reentrant]
[KeepAlive]
[Immovable]
[ShardPlacement]
internal sealed class ExpertShardGrain(ShardSet shards) : Grain, IExpertShardGrain
{
    public ValueTask<ExpertReply> ForwardAsync(ExpertFrame frame, CancellationToken cancellationToken) => Shard.ForwardAsync(frame, cancellationToken);

    public ValueTask<ShardReport> AssignAsync(ShardAssignment assignment) => ValueTask.FromResult(Shard.Assign(assignment));

    public ValueTask SuspectAsync(int expert, bool isSure)
    {
        Shard.Suspect(expert, isSure);
        return ValueTask.CompletedTask;
    }

    /// <summary>Looked up each time: it lives as long as its device, the grain as long as the silo.</summary>
    private ExpertShard Shard =>
        ShardId.TryParse(this.GetPrimaryKeyString(), out ShardId? id) && shards.TryGetShard(id.Value, out ExpertShard? shard)
            ? shard
            : throw new InvalidOperationException($"There is no shard {this.GetPrimaryKeyString()} on this silo (or not yet).");
}
