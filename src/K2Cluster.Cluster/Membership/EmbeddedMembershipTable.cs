
namespace K2Cluster.Cluster.Membership;

/// <summary>The table of a cluster of one: in this process's memory.</summary>
internal sealed class EmbeddedMembershipTable : IMembershipTable
{
    private readonly Lock _lock = new();
    private readonly MembershipRows _rows = new();

    public Task InitializeMembershipTable(bool tryInitTableVersion) => Task.CompletedTask;

    public Task DeleteMembershipTableEntries(string clusterId) => Locked(rows =>
    {
        rows.Clear();
        return true;
    });

    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => Locked(rows => rows.Cleanup(beforeDate));

    public Task<MembershipTableData> ReadRow(SiloAddress key) => Locked(rows => rows.ReadRow(key));

    public Task<MembershipTableData> ReadAll() => Locked(rows => rows.ReadAll());

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => Locked(rows => rows.Insert(entry, tableVersion, ProcessIdentity.Current));

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => Locked(rows => rows.Update(entry, etag, tableVersion));

    public Task UpdateIAmAlive(MembershipEntry entry) => Locked(rows => rows.UpdateAliveTime(entry));

    private Task<T> Locked<T>(Func<MembershipRows, T> action)
    {
        lock (_lock)
            return Task.FromResult(action(_rows));
    }
}
