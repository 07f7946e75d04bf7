using K2Cluster.Contracts;
using Orleans.Runtime.Placement;

namespace K2Cluster.Cluster.Placement;

/// <summary>Finds the silo that a shard's key names. Orleans asks the director of the calling silo: every member has it.</summary>
internal sealed class ShardPlacementDirector(IClusterMembershipService membership) : IPlacementDirector
{
    /// <exception cref="SiloUnavailableException">No silo of that name is alive, or it hosts no shards.</exception>
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        string key = target.GrainIdentity.Key.ToString()!;
        if (!ShardId.TryParse(key, out ShardId? shard))
            throw new ArgumentException($"'{key}' is no shard's key: expected model/silo/slot.");

        SiloAddress? newest = null;
        foreach (SiloAddress silo in context.GetCompatibleSilos(target))
        {
            bool matches = membership.CurrentSnapshot.Members.TryGetValue(silo, out ClusterMember? member)
                && member.Status == SiloStatus.Active && member.Name == shard.Value.Silo;
            if (matches && (newest is null || silo.Generation > newest.Generation))
                newest = silo;
        }

        return Task.FromResult(newest ?? throw new SiloUnavailableException($"No silo named {shard.Value.Silo} that hosts shards is alive: shard {key} is nowhere."));
    }
}
