using K2Cluster.Cluster.Membership;
using Orleans.Messaging;

namespace K2Cluster.Cluster.Operators;

/// <summary>The silos that take operators' calls, from the table of members.</summary>
internal sealed class OperatorSilos(Func<Task<IReadOnlyList<MembershipEntry>>> read, MemberStamp stamp, string cluster) : IGatewayListProvider
{
    /// <summary>A tool is done long before the list is old.</summary>
    public TimeSpan MaxStaleness => TimeSpan.FromMinutes(1);

    public bool IsUpdatable => true;

    public Task InitializeGatewayListProvider() => Task.CompletedTask;

    /// <exception cref="ClusterException">There is none, or this process could not talk to it.</exception>
    public async Task<IList<Uri>> GetGateways()
    {
        MembershipEntry[] alive = [.. (await read().ConfigureAwait(false)).Where(member => member.Status == SiloStatus.Active)];
        MembershipEntry[] silos = [.. alive.Where(member => member.ProxyPort != 0)];
        if (silos.Length == 0)
            throw new ClusterException($"No silo of cluster {cluster} is alive{(alive.Length > 0 ? $", only {string.Join(", ", alive.Select(member => member.SiloName))}" : "")}: name the cluster as its silos do (--cluster, --redis, --cluster-id), or start a silo.");
        foreach (MembershipEntry silo in silos)
        {
            if (stamp.Conflict(silo.SiloName, MemberStamp.TryParse(silo.RoleName)) is { } conflict)
                throw new ClusterException($"The silos of cluster {cluster} cannot be asked: {conflict}.");
        }

        return [.. silos.Select(silo => SiloAddress.New(silo.SiloAddress.Endpoint.Address, silo.ProxyPort, silo.SiloAddress.Generation).ToGatewayUri())];
    }
}
